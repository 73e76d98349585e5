"""Admission against brute force: random, clustered at the radius, crowded in one bucket, split over calls."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_miner.similarity import hamming
from data_miner.similarity.bands import flips_by_band
from data_miner.similarity.hamming import HammingIndex

RADII = [0, 1, 2, 3, 5, 6, 8, 9, 10, 12, 16, 40, 64]


def brute(hashes: Sequence[int], radius: int) -> list[int]:
    """The rule itself: keep unless a kept one is within the radius; else name the nearest, earliest."""
    kept: list[int] = []
    verdicts = []
    for hash_ in hashes:
        near = [((hash_ ^ other).bit_count(), index) for index, other in enumerate(kept)]
        near = [pair for pair in near if pair[0] <= radius]
        verdicts.append(min(near)[1] if near else -1)
        if not near:
            kept.append(hash_)
    return verdicts


def admitted(hashes: Sequence[int], radius: int, sizes: Sequence[int] = ()) -> list[int]:
    """The index's answers, asked in pieces of the given sizes."""
    index = HammingIndex(radius)
    array = np.array(hashes, np.uint64)
    return [int(verdict) for piece in np.split(array, np.cumsum(sizes)) for verdict in index.admit(piece)]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables from the first hashes on and small blocks, so that small sets walk every path."""
    monkeypatch.setattr(hamming, "_TAIL_MIN", 5)
    monkeypatch.setattr(hamming, "_BLOCK", 16)
    monkeypatch.setattr(hamming, "_CHUNK", 7)
    monkeypatch.setattr(hamming, "_TABLE_RADIUS_MAX", 9)


def clustered(seed: int, radius: int, count: int = 300) -> list[int]:
    """Few centres, and members at exactly radius - 1, radius, radius + 1 and 2 · radius bits from them."""
    random = np.random.default_rng(seed)
    centres = random.integers(0, 2**64, 12, dtype=np.uint64)
    found = []
    for _ in range(count):
        hash_ = int(random.choice(centres))
        distance = min(64, max(0, int(random.choice([0, radius - 1, radius, radius + 1, 2 * radius]))))
        for bit in random.choice(64, distance, replace=False):
            hash_ ^= 1 << int(bit)
        found.append(hash_)
    return found


def crowded(seed: int, shift: int, width: int, count: int = 400) -> list[int]:
    """All hashes share the bits of one band, so that all lie in one of its buckets."""
    random = np.random.default_rng(seed)
    mask = ((1 << width) - 1) << shift
    band = int(random.integers(0, 2**64, dtype=np.uint64)) & mask
    return [(int(h) & ~mask) | band for h in random.integers(0, 2**64, count, dtype=np.uint64)]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("seed", range(4))
def test_clusters_at_the_radius_are_admitted_as_by_brute_force(seed: int, radius: int) -> None:
    hashes = clustered(seed, radius)
    expected = brute(hashes, radius)
    assert admitted(hashes, radius) == expected
    assert admitted(hashes, radius, [1, 2, 50, 0, 33]) == expected


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("shift", "width"), [(0, 21), (21, 21), (42, 22)])
@pytest.mark.parametrize("radius", [3, 6, 8])
def test_one_crowded_bucket_changes_nothing(shift: int, width: int, radius: int) -> None:
    hashes = crowded(1, shift, width) + crowded(2, shift, width)
    near = [hash_ ^ (1 << 5) ^ (1 << 30) ^ (1 << 60) for hash_ in hashes[::3]]
    assert admitted(hashes + near, radius) == brute(hashes + near, radius)


@pytest.mark.usefixtures("eager")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_set_in_any_pieces_is_admitted_as_by_brute_force(data: st.DataObject) -> None:
    radius = data.draw(st.sampled_from(RADII))
    centre = data.draw(st.integers(0, 2**64 - 1))
    flips = st.lists(st.integers(0, 63), max_size=radius + 2).map(lambda bits: sum(1 << bit for bit in set(bits)))
    hashes = data.draw(st.lists(flips.map(lambda mask: centre ^ mask) | st.integers(0, 2**64 - 1), max_size=120))
    sizes = data.draw(st.lists(st.integers(0, 40), max_size=4))
    sizes = sizes if sum(sizes) <= len(hashes) else []
    assert admitted(hashes, radius, sizes) == brute(hashes, radius)


@pytest.mark.parametrize("radius", [6, 8, 12])
def test_kept_hashes_of_a_large_set_are_never_within_the_radius(radius: int) -> None:
    random = np.random.default_rng(5)
    base = random.integers(0, 2**64, 25_000, dtype=np.uint64)
    flips = np.zeros(len(base), np.uint64)
    for _ in range(radius + 1):
        flips ^= np.uint64(1) << random.integers(0, 64, len(base)).astype(np.uint64)
    hashes = np.concatenate([base, base ^ flips])
    index = HammingIndex(radius)
    verdicts = index.admit(hashes)
    kept = index.kept
    assert (kept == hashes[verdicts == -1]).all()
    sample = random.choice(len(kept), 300, replace=False)
    distances = np.bitwise_count(kept[sample][:, None] ^ kept[None, :]).astype(int)
    distances[np.arange(300), sample] = 99
    assert distances.min() > radius
    rejected = np.flatnonzero(verdicts >= 0)
    assert len(rejected) > 1000
    # named is the nearest of those kept before it, and the earliest of these
    before = np.cumsum(verdicts == -1)
    for row in random.choice(rejected, 200, replace=False):
        earlier = np.bitwise_count(kept[: before[row]] ^ hashes[row])
        assert verdicts[row] == int(np.argmin(earlier))
        assert earlier.min() <= radius


def test_many_flat_pictures_are_one() -> None:
    index = HammingIndex(8)
    verdicts = index.admit(np.zeros(200_000, np.uint64))
    assert verdicts[0] == -1
    assert not verdicts[1:].any()
    assert len(index) == 1


def test_an_index_full_of_equal_hashes_still_answers() -> None:
    index = HammingIndex(8)
    index.add(np.zeros(40_000, np.uint64))
    assert index.admit(np.array([3, 2**40 - 1], np.uint64)).tolist() == [0, -1]
    assert len(index.neighbours(3)) == 40_000


def test_a_rebuilt_index_goes_on_as_the_old_one() -> None:
    hashes = np.array(clustered(9, 6, 600), np.uint64)
    old = HammingIndex(6)
    old.admit(hashes[:400])
    rebuilt = HammingIndex(6)
    rebuilt.add(old.kept)
    assert rebuilt.admit(hashes[400:]).tolist() == old.admit(hashes[400:]).tolist()


@pytest.mark.usefixtures("eager")
def test_neighbours_are_all_within_the_radius_and_no_other() -> None:
    hashes = clustered(3, 8)
    index = HammingIndex(8)
    index.add(np.array(hashes, np.uint64))
    for hash_ in hashes[:40]:
        expected = [i for i, other in enumerate(hashes) if (hash_ ^ other).bit_count() <= 8]
        assert index.neighbours(hash_).tolist() == expected


@pytest.mark.parametrize("radius", range(17))
def test_flipped_bits_leave_no_way_around_the_bands(radius: int) -> None:
    flips = flips_by_band(radius)
    for split in product(range(radius + 1), repeat=2):
        rest = radius - sum(split)
        if rest >= 0:
            assert any(bits <= flip for bits, flip in zip((*split, rest), flips, strict=True))


def test_nothing_to_admit_is_nothing() -> None:
    assert HammingIndex(8).admit(np.empty(0, np.uint64)).tolist() == []
    assert HammingIndex(8).neighbours(0).tolist() == []


def test_a_radius_beyond_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="radius"):
        HammingIndex(65)
