"""Multi-index hashing: 64-bit hashes filed by three bands of 22, 21 and 21 bits, probed by flipping bits.

Two hashes within radius r agree, up to a few bits, in at least one band (pigeonhole). Norouzi, Punjani,
Fleet: Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014. Knows no order of admission.
"""

from collections.abc import Generator
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Matches = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]

_BANDS = ((0, 21), (21, 21), (42, 22))  # (shift, width in bits); the wide one last, so that it flips least
_PAIRS_MAX = 1 << 20  # candidate pairs looked at together: about 40 MB


class BandTables:
    """Bucket tables over a fixed run of hashes, for one radius. Built in about 0.3 s for a million hashes."""

    def __init__(self, hashes: Hashes, radius: int) -> None:
        self.count = len(hashes)
        self._radius = radius
        self._bands = [
            _Band(hashes, shift, width, flips)
            for (shift, width), flips in zip(_BANDS, flips_by_band(radius), strict=True)
            if flips >= 0
        ]

    def matches(self, queries: Hashes, hashes: Hashes) -> Generator[Matches, None, NDArray[np.int64]]:
        """Yield pairs within the radius; return the rows left out because their buckets are crowded.

        A crowded query has more candidates than a quarter of all hashes: comparing with all is cheaper.
        """
        crowded = np.zeros(len(queries), bool)
        for band in self._bands:
            rows, low, sizes = band.buckets(queries)
            totals = np.bincount(rows, weights=sizes, minlength=len(queries))
            crowded |= totals > max(1024, self.count // 4)
            wanted = ~crowded[rows]
            yield from self._verify(queries, hashes, band, rows[wanted], low[wanted], sizes[wanted])
        return np.flatnonzero(crowded)

    def _verify(
        self,
        queries: Hashes,
        hashes: Hashes,
        band: "_Band",
        rows: NDArray[np.int64],
        low: NDArray[np.int64],
        sizes: NDArray[np.int64],
    ) -> Generator[Matches, None, None]:
        for part in _runs(sizes, _PAIRS_MAX):
            size = sizes[part]
            total = int(size.sum())
            # positions low, low+1, … of each bucket, one after the other
            skip = np.repeat(low[part] - (np.cumsum(size) - size), size)
            ids = band.order[skip + np.arange(total)].astype(np.int64)
            query_rows = np.repeat(rows[part], size)
            distances = np.bitwise_count(hashes[ids] ^ queries[query_rows])
            near = distances <= self._radius
            if near.any():
                yield query_rows[near], ids[near], distances[near]


class _Band:
    """One band's buckets in compressed rows: hashes of bucket b are order[starts[b]:starts[b + 1]]."""

    def __init__(self, hashes: Hashes, shift: int, width: int, flips: int) -> None:
        self._shift, self._mask = np.uint64(shift), np.uint64((1 << width) - 1)
        keys = self._keys(hashes)
        self.order: NDArray[np.uint32] = np.argsort(keys, kind="stable").astype(np.uint32)
        self._starts = np.zeros((1 << width) + 1, np.uint32)
        np.cumsum(np.bincount(keys, minlength=1 << width), out=self._starts[1:])
        self._flips = np.array(
            [sum(1 << bit for bit in bits) for n in range(flips + 1) for bits in combinations(range(width), n)],
            np.int32,
        )

    def _keys(self, hashes: Hashes) -> NDArray[np.int32]:
        return ((hashes >> self._shift) & self._mask).astype(np.int32)

    def buckets(self, queries: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Buckets to look into, no empty ones: (row of the query, first position, size), rows ascending."""
        probes = self._keys(queries)[:, None] ^ self._flips[None, :]
        low = self._starts[probes]
        sizes = self._starts[1:][probes] - low
        rows, columns = np.nonzero(sizes)
        return rows, low[rows, columns].astype(np.int64), sizes[rows, columns].astype(np.int64)


def flips_by_band(radius: int) -> tuple[int, int, int]:
    """Bits to flip in each band (-1: leave the band out) so that no pair within the radius is missed.

    Were a pair to miss every band b by more than f_b bits, it would differ in at least sum(f_b + 1) bits; so
    sum(f_b + 1) = radius + 1 is enough.
    """
    share, rest = divmod(radius + 1, 3)
    return share - 1 + (rest > 0), share - 1 + (rest > 1), share - 1


def _runs(sizes: NDArray[np.int64], most: int) -> list[slice]:
    """Cut a list of sizes into runs that sum to about `most` each; a larger size is a run by itself."""
    if not len(sizes):
        return []
    parts = np.cumsum(sizes) // most
    edges = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(sizes)]
    return [slice(low, high) for low, high in pairwise(edges)]
