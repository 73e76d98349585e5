"""Hash first, cosine second, greedily: held against comparing with everything in turn."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data_miner.similarity.gallery import Gallery, Match

Vectors = NDArray[np.float32]


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def _pictures(seed: int, count: int) -> tuple[NDArray[np.uint64], Vectors]:
    """Some hashes a few bits apart, some vectors close to each other."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, 4, np.uint64)[rng.integers(0, 4, count)]
    for _ in range(3):
        hashes = hashes ^ (np.uint64(1) << rng.integers(0, 64, count, np.uint64))
    vectors = _unit(rng.normal(size=(3, 8))[rng.integers(0, 3, count)] + rng.normal(scale=0.25, size=(count, 8)))
    return hashes, vectors


def _in_turn(
    hashes: NDArray[np.uint64], vectors: Vectors, radius: int, cosine: float
) -> list[tuple[int | None, bool | None]]:
    kept: list[int] = []
    verdicts: list[tuple[int | None, bool | None]] = []
    for i in range(len(hashes)):
        bits = [(int(hashes[i] ^ hashes[k]).bit_count(), n) for n, k in enumerate(kept)]
        near = min((b for b in bits if b[0] <= radius), default=None)
        cosines = [(float(vectors[i].astype(np.float64) @ vectors[k]), -n) for n, k in enumerate(kept)]
        alike = max((c for c in cosines if c[0] >= cosine), default=None)
        if near is not None:
            verdicts.append((kept[near[1]], True))
        elif alike is not None:
            verdicts.append((kept[-alike[1]], False))
        else:
            verdicts.append((None, None))
            kept.append(i)
    return verdicts


@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(1, 30))
def test_admission_in_any_portions_is_that_of_comparing_with_each_in_turn(seed: int, count: int, portion: int) -> None:
    hashes, vectors = _pictures(seed, count)
    gallery: Gallery[int] = Gallery(5, 0.93)
    found: list[Match[int] | None] = []
    for start in range(0, count, portion):
        rows = slice(start, start + portion)
        found += gallery.admit(range(count)[rows], hashes[rows], vectors[rows])
    told = [(m.entry, m.by_hash) if m else (None, None) for m in found]
    assert told == _in_turn(hashes, vectors, 5, 0.93)


def test_what_was_added_without_a_vector_is_found_by_its_hash_only() -> None:
    hashes, vectors = np.array([0, 2**40 - 1], np.uint64), _unit(np.ones((2, 4), np.float32))
    gallery: Gallery[str] = Gallery(3, 0.9)
    gallery.add(["rejected"], hashes[:1])
    assert gallery.admit(["same"], hashes[:1], vectors[:1]) == [Match("rejected", by_hash=True)]
    assert gallery.admit(["other hash"], hashes[1:], vectors[1:]) == [None]


def test_a_gallery_that_compares_nothing_takes_all_in() -> None:
    assert Gallery[int](None, None).admit([1, 2], np.zeros(2, np.uint64)) == [None, None]
