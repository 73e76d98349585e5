"""Greedy admission by exact Hamming radius over 64-bit hashes: which hash is new, and whose duplicate is it.

Knows nothing of frames or verdicts. Tables of bands live in `bands.py`.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data_miner.similarity.bands import BandTables, Hashes

# A match is one number, distance << 40 | index, so that the least is the nearest and, among equals, the
# earliest. 2^40 hashes would fill 8 TiB.
_INDEX_BITS = 40
_NONE = np.int64(np.iinfo(np.int64).max)
_BLOCK = 256  # hashes admitted together
_CHUNK = 4096  # kept hashes compared at once: 256 × 4096 × 8 bytes = 8 MB
_TAIL_MIN = 16_384  # below this many, comparing with each is cheaper than probing 718 buckets (radius 8)
_TABLE_RADIUS_MAX = 9  # above, one query probes thousands of buckets: slower than comparing with 1 M hashes


class HammingIndex:
    """Hashes kept so far. `radius` in bits: two kept hashes are always further apart than that.

    Semantics are those of comparing with every kept hash in turn; the tables only make it fast.
    """

    def __init__(self, radius: int) -> None:
        if not 0 <= radius <= 64:
            raise ValueError(f"radius {radius} is not within 0 and 64 bits")
        self.radius = radius
        self._hashes: Hashes = np.empty(1024, np.uint64)
        self._count = 0
        self._tables: BandTables | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def kept(self) -> Hashes:
        """The kept hashes in the order they were kept; a read-only view."""
        view = self._hashes[: self._count]
        view.flags.writeable = False
        return view

    def add(self, hashes: Hashes) -> None:
        """Keep hashes without asking (as when an index is rebuilt from stored verdicts)."""
        hashes = np.asarray(hashes, np.uint64)
        needed = self._count + len(hashes)
        if needed > len(self._hashes):
            grown = np.empty(max(needed, 2 * len(self._hashes)), np.uint64)
            grown[: self._count] = self._hashes[: self._count]
            self._hashes = grown
        self._hashes[self._count : needed] = hashes
        self._count = needed
        self._retable()

    def admit(self, hashes: Hashes) -> NDArray[np.int64]:
        """Admit hashes in order: -1 where one is kept, else the index (in kept order) of the nearest kept.

        A hash is kept when no kept hash, this call's earlier ones included, is within the radius. Of equally
        near ones the earliest kept is named.
        """
        hashes = np.asarray(hashes, np.uint64)
        verdicts = np.empty(len(hashes), np.int64)
        for start in range(0, len(hashes), _BLOCK):
            block = hashes[start : start + _BLOCK]
            verdicts[start : start + _BLOCK] = self._admit_block(block)
        return verdicts

    def nearest(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index (in kept order) and distance in bits of the nearest kept hash of each; -1 where none is within."""
        hashes = np.asarray(hashes, np.uint64)
        best = np.empty(len(hashes), np.int64)
        for start in range(0, len(hashes), _BLOCK):
            best[start : start + _BLOCK] = self._nearest(hashes[start : start + _BLOCK])
        is_none = best == _NONE
        return np.where(is_none, -1, best & ((1 << _INDEX_BITS) - 1)), np.where(is_none, -1, best >> _INDEX_BITS)

    def neighbours(self, hash_: int) -> NDArray[np.int64]:
        """Indices (in kept order) of all kept hashes within the radius of one hash."""
        query = np.array([hash_], np.uint64)
        found = [ids for _, ids, _ in self._matches(query)]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)

    def _admit_block(self, block: Hashes) -> NDArray[np.int64]:
        best = self._nearest(block)
        verdicts = np.empty(len(block), np.int64)
        fresh: list[np.uint64] = []
        for row, hash_ in enumerate(block):
            if best[row] != _NONE:
                verdicts[row] = best[row] & ((1 << _INDEX_BITS) - 1)
                continue
            verdicts[row] = -1
            later = np.bitwise_count(block[row + 1 :] ^ hash_).astype(np.int64)
            match = np.where(later <= self.radius, (later << _INDEX_BITS) | (self._count + len(fresh)), _NONE)
            np.minimum(best[row + 1 :], match, out=best[row + 1 :])
            fresh.append(hash_)
        self.add(np.array(fresh, np.uint64))
        return verdicts

    def _nearest(self, queries: Hashes) -> NDArray[np.int64]:
        best = np.full(len(queries), _NONE)
        for rows, ids, distances in self._matches(queries):
            np.minimum.at(best, rows, (distances.astype(np.int64) << _INDEX_BITS) | ids)
        return best

    def _matches(self, queries: Hashes) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
        """Pairs within the radius as (row of the query, kept index, distance); a pair may come twice."""
        tabled = 0
        if self._tables is not None:
            tabled = self._tables.count
            crowded = yield from self._tables.matches(queries, self.kept)
            if len(crowded):
                for rows, ids, distances in self._compare(queries[crowded], 0, tabled):
                    yield crowded[rows], ids, distances
        yield from self._compare(queries, tabled, self._count)

    def _compare(
        self, queries: Hashes, start: int, stop: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
        for low in range(start, stop, _CHUNK):
            chunk = self._hashes[low : min(low + _CHUNK, stop)]
            distances = np.bitwise_count(queries[:, None] ^ chunk[None, :])
            rows, columns = np.nonzero(distances <= self.radius)
            if len(rows):
                yield rows, columns + low, distances[rows, columns]

    def _retable(self) -> None:
        """Rebuild the tables when the untabled tail is an eighth of all: cost stays proportional to size."""
        if self.radius > _TABLE_RADIUS_MAX:
            return
        tabled = self._tables.count if self._tables else 0
        if self._count - tabled >= max(_TAIL_MIN, tabled // 8):
            self._tables = BandTables(self.kept, self.radius)
