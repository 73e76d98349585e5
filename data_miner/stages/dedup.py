"""Dedup: admit a segment's passed frames in data order; no two kept frames are within the configured distances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NotNowError
from data_miner.ledger import admission, frames, order
from data_miner.ledger.admission import Verdict
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.records import key_of
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan
from data_miner.stages.kept import KeptIndex, VectorOf, places_of_vectors
from data_miner.stages.known import digest_of


@dataclass(frozen=True)
class Dedup:
    """Keep the first of everything that looks alike, and nothing that looks like a known or a rejected picture."""

    name: ClassVar[str] = "dedup"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=0.25)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """The key names the rule; a changed rule decides all again, from stored hashes and vectors."""
        params: dict[str, Any] = {"hash_distance": config.dedup.hash_distance}
        if "embed" in upstream:
            params.update(cosine=config.dedup.cosine, embedding=upstream["embed"].key)
        if config.dedup.against:
            params["known"] = digest_of([Path(folder) for folder in config.dedup.against])
        return StagePlan(key=key_of(stage=cls.name, version=cls.version, **params), params=params)

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Dedup":
        """Nothing needs loading."""
        return cls()

    def open(self, node: Node) -> Runner:
        """The index of a project is built by its first job."""
        return _Runner(node)


@dataclass(frozen=True, slots=True)
class _Admitted:
    index: KeptIndex
    verdicts: Sequence[Verdict]


class _Runner:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._indexes: dict[int, KeptIndex] = {}

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
            found = None
            if index is None or index.key != own.key or not admission.is_version(cursor, project_id, index.version):
                found = admission.standing(cursor, project_id, own.params.get("known"))
            new = admission.passed_frames(cursor, project_id, segment_id)
            groups = [new] if found is None else [new, found.human, found.rejected, found.kept]
            lie = places_of_vectors(cursor, own.params, groups)
        vector_of = VectorOf.read(self._node.store, lie)
        if found is not None:
            index = KeptIndex(found, own.key, own.params, vector_of)
        assert index is not None
        verdicts = index.admit(new, vector_of)
        return Outcome(rows=_Admitted(index, verdicts), items=len(verdicts))

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        made: _Admitted = outcome.rows
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        made.index.version = admission.admit(cursor, project_id, segment_id, made.index.version, made.verdicts)
        if frames.params(cursor, project_id, "dedup").key != made.index.key:  # it changed between two of our questions
            raise NotNowError("dedup's rule has changed")
        # If this commit fails the ledger's version stays behind, and the next job sees that and rebuilds.
        self._indexes[project_id] = made.index

    def close(self) -> None:
        self._indexes.clear()
