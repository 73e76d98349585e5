"""Dedup: admit a segment's passed frames in data order; no two kept frames are within the configured distance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NotNowError
from data_miner.ledger import frames, order, verdicts
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.records import key_of
from data_miner.similarity.hamming import HammingIndex
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan


@dataclass(frozen=True)
class Dedup:
    """Keep the first of everything that looks alike."""

    name: ClassVar[str] = "dedup"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=0.25)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """The key names the rule; a changed rule decides all again, from stored hashes."""
        params = {"hash_distance": config.dedup.hash_distance}
        return StagePlan(key=key_of(stage=cls.name, version=cls.version, **params), params=params)

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Dedup":
        """Nothing needs loading."""
        return cls()

    def open(self, node: Node) -> Runner:
        """The index of a project is built by its first job."""
        return _Runner(node)


class _Index:
    """A project's kept frames in memory, true at one dedup version."""

    def __init__(self, kept: verdicts.KeptFrames, key: str, radius: int | None) -> None:
        self.version, self.key = kept.version, key
        self._places = list(zip(kept.segment_ids.tolist(), kept.pts_ms.tolist(), strict=True))
        self._hashes = HammingIndex(radius) if radius is not None else None
        if self._hashes is not None:
            self._hashes.add(kept.phash)

    def admit(
        self, segment_id: int, pts_ms: NDArray[np.int64], phash: NDArray[np.uint64]
    ) -> list[tuple[int, int | None, int | None]]:
        """Verdicts on (pts_ms, representative segment, representative pts_ms); None: kept."""
        nearest = self._hashes.admit(phash) if self._hashes is not None else np.full(len(phash), -1)
        found: list[tuple[int, int | None, int | None]] = []
        for time, kept in zip(pts_ms.tolist(), nearest.tolist(), strict=True):
            if kept < 0:
                self._places.append((segment_id, time))
                found.append((time, None, None))
            else:
                found.append((time, *self._places[kept]))
        return found


@dataclass(frozen=True, slots=True)
class _Admitted:
    version: int
    frames: Sequence[tuple[int, int | None, int | None]]


class _Runner:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._indexes: dict[int, _Index] = {}

    def load(self, job: Job) -> None:
        """Nothing ahead of time: what is kept changes with every admission."""

    def process(self, job: Job, work: None, beat: Beat) -> Outcome:
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        # Until this admission is committed the index in memory may be ahead of the ledger; save() puts it back.
        index = self._indexes.pop(project_id, None)
        with self._node.ledger.transaction() as cursor:
            if not order.is_next(cursor, project_id, segment_id):
                raise NotNowError("a segment before this one is undecided")
            own = frames.params(cursor, project_id, "dedup")
            kept = None
            if index is None or index.key != own.key or not verdicts.is_version(cursor, project_id, index.version):
                kept = verdicts.kept_frames(cursor, project_id)
            pts_ms, phash = verdicts.passed_hashes(cursor, project_id, segment_id)
        if kept is not None:
            index = _Index(kept, own.key, own.params["hash_distance"])
        assert index is not None
        admitted = index.admit(segment_id, pts_ms, phash)
        return Outcome(rows=(index, _Admitted(index.version, admitted)), items=len(admitted))

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        index, admitted = outcome.rows
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        index.version = verdicts.admit(cursor, project_id, segment_id, admitted.version, admitted.frames)
        # If this commit fails the ledger's version stays behind, and the next job sees that and rebuilds.
        self._indexes[project_id] = index

    def close(self) -> None:
        self._indexes.clear()
