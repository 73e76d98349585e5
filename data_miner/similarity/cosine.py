"""Greedy admission by exact cosine radius over picture embeddings: which picture is new, and whom is it like?

Knows nothing of frames or models. Verdicts depend on the stored vectors and their order alone: a float32 matrix
product, whose last bits differ between BLAS libraries and batch shapes, only picks candidates.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_Near = tuple[Vectors, NDArray[np.int64]]  # approximate cosines and kept indices

_BLOCK = 256  # vectors asked together
_CHUNK = 4096  # kept vectors compared at once: 256 × 4096 × 4 bytes = 4 MB
_LENGTH_SLACK = 1e-5  # how far from 1 a length may be; half precision, normalised in float32, stays below 1e-6
_UNIT_ROUNDOFF = 2.0**-24  # of float32


class CosineIndex:
    """Vectors kept so far. `threshold` in (0, 1]: two kept vectors always have a lower cosine. `width`: numbers each.

    Semantics are those of comparing with every kept vector in turn. The cosine is dot / √(|a|² |b|²) of the float32
    numbers: their products are exact in float64, and math.fsum rounds their sum once, in whatever order, so equal
    vectors have 1 exactly. A vector of zeros is like nothing. All vectors must have length 1 (or 0).
    """

    def __init__(self, threshold: float, width: int) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold {threshold} is not above 0 and at most 1")
        if width < 1:
            raise ValueError(f"width {width} is not at least 1")
        self.threshold, self.width = threshold, width
        # A float32 product of n terms errs by at most n · 2^-24 · |a| |b| (Higham, Accuracy and Stability, §3.1);
        # taking the lengths for 1 by at most twice their slack, counted double for the rest.
        self._margin = 4 * _LENGTH_SLACK + width * _UNIT_ROUNDOFF
        self._vectors: Vectors = np.empty((64, width), np.float32)
        self._squares = np.empty(64)  # |v|², NaN: not asked for yet
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def kept(self) -> Vectors:
        """The kept vectors in the order they were kept; a read-only view."""
        view = self._vectors[: self._count]
        view.flags.writeable = False
        return view

    def add(self, vectors: Vectors) -> None:
        """Keep vectors without asking (as when an index is rebuilt from stored verdicts). One or (N, width)."""
        rows = self._rows(vectors)
        needed = self._count + len(rows)
        if needed > len(self._vectors):
            size = max(needed, 2 * len(self._vectors))
            self._vectors = _grown(self._vectors, self._count, size)
            self._squares = _grown(self._squares, self._count, size)
        self._vectors[self._count : needed] = rows
        self._squares[self._count : needed] = np.nan
        self._count = needed

    def nearest(self, vectors: Vectors) -> NDArray[np.int64]:
        """Index (in kept order) of the most similar kept vector within the threshold, -1 where there is none.

        Of equally similar ones the earliest kept is named. Nothing is added. One vector or (N, width).
        """
        asked = self.ask(vectors)
        return np.array([asked.nearest(row) for row in range(len(asked))], np.int64)

    def admit(self, vectors: Vectors) -> NDArray[np.int64]:
        """Admit vectors in order: -1 where one is kept, else the index of the most similar kept, as `nearest`.

        A vector is kept when no kept one, this call's earlier ones included, is within the threshold.
        """
        asked = self.ask(vectors)
        verdicts = np.empty(len(asked), np.int64)
        for row in range(len(asked)):
            verdicts[row] = asked.nearest(row)
            if verdicts[row] < 0:
                asked.keep(row)
        return verdicts

    def ask(self, vectors: Vectors) -> "Asked":
        """Begin to ask for many vectors, one after the other, where somebody else has a say in what is kept."""
        return Asked(self, self._rows(vectors))

    def candidates(self, queries: Vectors) -> list[_Near]:
        """What `most_similar` must look at for each query: all that may be the best within the threshold."""
        best = np.full(len(queries), self.threshold, np.float32)  # what the best has at least
        found: list[tuple[NDArray[np.int64], Vectors, NDArray[np.int64]]] = []
        for low in range(0, self._count, _CHUNK):
            cosines = _product(queries, self._vectors[low : min(low + _CHUNK, self._count)])
            np.maximum(best, cosines.max(axis=1) - self._margin, out=best)
            rows, columns = np.nonzero(cosines >= (best - self._margin)[:, None])
            found.append((rows, cosines[rows, columns], columns + low))
        if not found:
            return [(np.empty(0, np.float32), np.empty(0, np.int64))] * len(queries)
        rows, values, ids = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(rows, kind="stable")  # of one row the earliest kept stays first
        cuts = np.searchsorted(rows[order], np.arange(1, len(queries)))
        return list(zip(np.split(values[order], cuts), np.split(ids[order], cuts), strict=True))

    def most_similar(self, query: Vectors, near: _Near) -> int:
        """Decide among candidates by exact cosines: the most similar within the threshold, the earliest, or -1."""
        values, ids = near
        if len(ids) == 0:
            return -1
        # Whoever is below the best by two margins cannot be the best.
        least = max(self.threshold - self._margin, float(values.max()) - 2 * self._margin)
        chosen, highest = -1, self.threshold
        square = _exact_dot(query, query)
        for index in ids[values >= least].tolist():
            scale = math.sqrt(square * self._square(index))
            cosine = _exact_dot(query, self._vectors[index]) / scale if scale else 0.0
            if cosine > highest or (chosen < 0 and cosine == highest):
                chosen, highest = index, cosine
        return chosen

    def _square(self, index: int) -> float:
        if math.isnan(self._squares[index]):
            self._squares[index] = _exact_dot(self._vectors[index], self._vectors[index])
        return float(self._squares[index])

    def _rows(self, vectors: Vectors) -> Vectors:
        """(N, width) float32; ValueError when a vector has another width, or a length that is neither 1 nor 0."""
        rows = np.atleast_2d(np.asarray(vectors, np.float32))
        if rows.size == 0:
            return np.empty((0, self.width), np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise ValueError(f"vectors of shape {np.shape(vectors)} are not {self.width} wide")
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        if not ((np.abs(np.sqrt(squares) - 1) <= _LENGTH_SLACK) | (squares == 0)).all():
            raise ValueError("a vector has neither length 1 nor 0; normalise before asking")
        return rows


class Asked:
    """Vectors that are asked of an index in their order; costs one matrix product for each 256 of them.

    `nearest(row)` answers as the index would now, whatever rows were kept since; `keep(row)` adds one to it. Rows
    are asked in order. Nobody else adds to the index meanwhile.
    """

    def __init__(self, index: CosineIndex, vectors: Vectors) -> None:
        self._index, self._vectors = index, vectors
        self._start, self._stop, self._known = 0, 0, 0
        self._candidates: list[_Near] = []
        self._fresh: list[int] = []  # rows of this block kept meanwhile; their indices go on from _known
        self._among: Vectors = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self._vectors)

    def nearest(self, row: int) -> int:
        """Index of the most similar kept vector within the threshold, the earliest of equals; -1: none."""
        if row >= self._stop:
            self._load(row)
        cosines, ids = self._candidates[row - self._start]
        if self._fresh:
            inside = self._among[row - self._start, self._fresh]
            cosines = np.concatenate([cosines, inside])
            ids = np.concatenate([ids, np.arange(self._known, self._known + len(inside))])
        return self._index.most_similar(self._vectors[row], (cosines, ids))

    def keep(self, row: int) -> None:
        """Add a row that was just asked for to the index."""
        self._index.add(self._vectors[row])
        self._fresh.append(row - self._start)

    def _load(self, row: int) -> None:
        self._start, self._stop = row, min(row + _BLOCK, len(self._vectors))
        block = self._vectors[self._start : self._stop]
        self._known, self._fresh = len(self._index), []
        self._candidates = self._index.candidates(block)
        self._among = _product(block, block)


def _product(queries: Vectors, kept: Vectors) -> Vectors:
    """Approximate cosines; the only numbers here that may differ between machines."""
    return queries @ kept.T


def _exact_dot(one: Vectors, other: Vectors) -> float:
    """The dot product of float32 vectors, rounded once: float64 holds each product of two floats exactly."""
    return math.fsum((one.astype(np.float64) * other).tolist())


def _grown(array: NDArray[Any], count: int, size: int) -> NDArray[Any]:
    larger = np.empty((size, *array.shape[1:]), array.dtype)
    larger[:count] = array[:count]
    return larger
