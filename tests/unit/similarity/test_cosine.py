"""Admission by cosine against brute force: at the threshold to the last bit, crowded, in any pieces, with any BLAS."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_miner.similarity import cosine
from data_miner.similarity.cosine import CosineIndex, Vectors


def unit(rows: Sequence[Sequence[float]] | Vectors) -> Vectors:
    """Rows of length 1 in float32, as an embedder gives them."""
    wide = np.asarray(rows, np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float32)


def exact(one: Vectors, other: Vectors) -> float:
    """The cosine from rational sums, each rounded once."""
    dot, first, second = (
        float(sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, y, strict=True)), Fraction(0)))
        for x, y in ((one, other), (one, one), (other, other))
    )
    return dot / math.sqrt(first * second) if dot else 0.0


def brute(vectors: Vectors, threshold: float) -> list[int]:
    """The rule itself: keep unless a kept one is within the threshold; else name the most similar, the earliest."""
    kept: list[Vectors] = []
    verdicts = []
    for vector in vectors:
        near = [(-exact(vector, other), index) for index, other in enumerate(kept)]
        near = [pair for pair in near if -pair[0] >= threshold]
        verdicts.append(min(near)[1] if near else -1)
        if not near:
            kept.append(vector)
    return verdicts


def admitted(vectors: Vectors, threshold: float, sizes: Sequence[int] = ()) -> list[int]:
    """The index's answers, asked in pieces of the given sizes."""
    index = CosineIndex(threshold, vectors.shape[1])
    return [int(verdict) for piece in np.split(vectors, np.cumsum(sizes)) for verdict in index.admit(piece)]


def clustered(seed: int, width: int, count: int, spread: float) -> Vectors:
    """Vectors around few centres, every seventh an exact copy of an earlier one."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(8, width))[random.integers(0, 8, count)]
    found = unit(rows + spread * random.normal(size=rows.shape))
    found[6::7] = found[: len(found[6::7])]
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks and chunks, so that small sets walk every path."""
    monkeypatch.setattr(cosine, "_BLOCK", 16)
    monkeypatch.setattr(cosine, "_CHUNK", 7)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threshold", [0.3, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("spread", [0.05, 0.3])
def test_clusters_are_admitted_as_by_brute_force(threshold: float, spread: float) -> None:
    vectors = clustered(1, 12, 110, spread)
    expected = brute(vectors, threshold)
    assert -1 in expected and max(expected) > 0
    assert admitted(vectors, threshold) == expected
    assert admitted(vectors, threshold, [1, 2, 50, 0, 33]) == expected


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_set_in_any_pieces_is_admitted_as_by_brute_force(data: st.DataObject) -> None:
    """Few small whole numbers in three dimensions: many equal cosines, and thresholds that are met exactly."""
    points = st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any)
    vectors = unit(data.draw(st.lists(points, min_size=2, max_size=40)))
    pairs = st.integers(0, len(vectors) - 1)
    met = exact(vectors[data.draw(pairs)], vectors[data.draw(pairs)])
    thresholds = [0.5, 0.9, 1.0] + ([met, math.nextafter(met, 2), math.nextafter(met, 0)] if 0.1 < met < 1 else [])
    threshold = data.draw(st.sampled_from(thresholds))
    sizes = data.draw(st.lists(st.integers(0, 20), max_size=4))
    sizes = sizes if sum(sizes) <= len(vectors) else []
    assert admitted(vectors, threshold, sizes) == brute(vectors, threshold)


def test_a_cosine_equal_to_the_threshold_matches_and_one_bit_less_does_not() -> None:
    one, other = unit([[1.0, 2.0, 2.0, 4.0], [2.0, 1.0, 4.0, 2.0]])
    met = exact(one, other)
    for threshold, verdict in ((met, 0), (math.nextafter(met, 1), -1), (math.nextafter(met, 0), 0)):
        index = CosineIndex(threshold, 4)
        index.add(one)
        assert index.nearest(other).tolist() == [verdict]


def test_the_same_picture_is_within_a_threshold_of_one() -> None:
    """The squares of a float32 vector of length 1 seldom sum to 1."""
    vectors = unit(np.random.default_rng(3).normal(size=(200, 96)))
    squares = [math.fsum((v.astype(np.float64) ** 2).tolist()) for v in vectors]
    assert min(squares) < 1 < max(squares)
    index = CosineIndex(1.0, 96)
    assert (index.admit(vectors) == -1).all()
    assert index.nearest(vectors).tolist() == list(range(200))


def test_500_near_identical_pictures_leave_one() -> None:
    """A top-50 neighbour search left 88 of them."""
    random = np.random.default_rng(4)
    vectors = unit(random.normal(size=384) + 0.02 * random.normal(size=(500, 384)))
    assert admitted(vectors, 0.90) == [-1] + [0] * 499


@pytest.fixture
def another_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix product that errs as much as float32 may at a width of 64, lengths a little off 1 included."""
    random, plain = np.random.default_rng(0), cosine._product
    wrong = 64 * 2.0**-24 + 3.5e-5

    def product(queries: Vectors, kept: Vectors) -> Vectors:
        near = plain(queries, kept)
        return np.asarray(near + random.uniform(-wrong, wrong, near.shape), np.float32)

    monkeypatch.setattr(cosine, "_product", product)


@pytest.mark.parametrize("seed", range(6))
def test_verdicts_do_not_depend_on_the_last_bits_of_a_matrix_product(seed: int, request: pytest.FixtureRequest) -> None:
    vectors = clustered(seed, 64, 300, 0.25)
    threshold = exact(vectors[0], vectors[np.argsort(vectors @ vectors[0])[-12]])
    expected = admitted(vectors, threshold)
    request.getfixturevalue("another_blas")
    assert admitted(vectors, threshold, [17, 100, 3]) == expected


@pytest.mark.usefixtures("another_blas")
def test_the_most_similar_is_told_by_the_last_bit_and_of_equals_the_earliest() -> None:
    index = CosineIndex(0.5, 64)
    index.add(np.eye(64, dtype=np.float32))
    half = np.float32(math.sqrt(0.5))
    for first in range(63):
        for second_weight, named in ((half, first), (np.nextafter(half, np.float32(1)), first + 1)):
            query = np.zeros(64, np.float32)
            query[first : first + 2] = half, second_weight
            assert index.nearest(query).tolist() == [named]


@pytest.mark.usefixtures("small_blocks")
def test_asking_row_by_row_with_a_second_opinion_equals_asking_one_at_a_time() -> None:
    """Another rule may refuse a row that cosine would keep; later rows must not find it."""
    vectors = clustered(5, 16, 120, 0.3)
    index, alone = CosineIndex(0.9, 16), CosineIndex(0.9, 16)
    asked = index.ask(vectors)
    for row in range(len(asked)):
        if row % 5 == 3:
            continue  # the hash said duplicate: not even asked
        answer = asked.nearest(row)
        assert answer == alone.nearest(vectors[row]).tolist()[0]
        if answer < 0 and row % 4:
            asked.keep(row)
            alone.add(vectors[row])
    assert len(index) > 16
    np.testing.assert_array_equal(index.kept, alone.kept)


def test_a_rebuilt_index_goes_on_as_the_old_one() -> None:
    vectors = clustered(9, 32, 400, 0.3)
    old, rebuilt = CosineIndex(0.9, 32), CosineIndex(0.9, 32)
    old.admit(vectors[:300])
    rebuilt.add(old.kept)
    assert 0 < len(rebuilt) < 300
    assert rebuilt.admit(vectors[300:]).tolist() == old.admit(vectors[300:]).tolist()


def test_a_vector_of_zeros_is_like_nothing() -> None:
    index = CosineIndex(1e-6, 3)
    assert index.admit(np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]], np.float32)).tolist() == [-1] * 4


def test_nothing_to_ask_is_nothing() -> None:
    index = CosineIndex(0.9, 3)
    assert index.admit(np.empty((0, 3), np.float32)).tolist() == []
    assert index.nearest(np.array([1, 0, 0], np.float32)).tolist() == [-1]


def test_what_cannot_be_compared_is_refused() -> None:
    for threshold in (0.0, 1.1, math.nan):
        with pytest.raises(ValueError, match="threshold"):
            CosineIndex(threshold, 3)
    index = CosineIndex(0.9, 3)
    for bad in ([[1, 0]], [[2, 0, 0]], [[math.nan, 0, 0]], [[math.inf, 0, 0]]):
        with pytest.raises(ValueError, match=r"wide|length"):
            index.add(np.array(bad, np.float32))
    assert len(index) == 0
