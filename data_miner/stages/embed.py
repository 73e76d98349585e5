"""Embed: vectors of passed frames, and of known pictures, for dedup's cosine. Not one of the five: dedup's first half.

Runs beside the filter, in any order; what is compared in the data's order is in `dedup`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NotNowError
from data_miner.ledger import frames, known
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.models import registry
from data_miner.records import key_of
from data_miner.stages import vectors
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan, model_at, model_of
from data_miner.stages.fitting import fitting_batch

_SHAPE = (720, 1280)  # of a probe's pictures: backbones scale all to one size


@dataclass(frozen=True)
class Embed:
    """Turn pictures into vectors whose cosine says how alike they are."""

    model: str = ""
    digest: str = ""
    pooling: str = "pooled"
    batch: int = 64
    name: ClassVar[str] = "embed"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=1.0, gpus=0.5)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """Vectors are named by the model and how its patches become one."""
        own = config.dedup
        runtime = {**model_of(str(own.model), "dedup", models), "pooling": own.pooling, "batch": own.batch}
        key = key_of(stage=cls.name, version=cls.version, digest=runtime["digest"], pooling=own.pooling)
        return StagePlan(key=key, params={}, runtime=runtime)

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Embed":
        """The model of a pool."""
        return cls(**runtime)

    def open(self, node: Node) -> Runner:
        """Load the model."""
        ref = model_at(node, self.model, "dedup")

        def load(batch: int) -> Any:
            return registry.open_embedder(
                ref, pooling=self.pooling, device=node.device, threads=node.threads, batch=batch
            )

        batch = fitting_batch(node, self.digest, self.batch, load, lambda model, rgb: model.embed_images(rgb), _SHAPE)
        return _Runner(node, load(batch), batch)


@dataclass(frozen=True, slots=True)
class _Work:
    jpegs: Mapping[int, bytes]  # by pts_ms, or by ordinal of a known picture
    known: str | None = None  # digest of the known set, when this is its job


@dataclass(frozen=True, slots=True)
class _Embedded:
    keys: Sequence[int]
    path: str
    known: str | None


class _Runner:
    def __init__(self, node: Node, model: Any, batch: int) -> None:
        self._node, self._model, self._batch = node, model, batch

    def load(self, job: Job) -> _Work:
        with self._node.ledger.transaction() as cursor:
            own = frames.params(cursor, int(job.project_id or 0), "embed")
            if own.key != job.key:
                raise NotNowError("another model embeds now")
            if job.segment_id is None:
                digest = frames.params(cursor, int(job.project_id or 0), "dedup").params.get("known")
                if digest is None:
                    raise NotNowError("nothing is known any more")
                shard, rows = known.pictures(cursor, digest)
            else:
                digest, shard = None, frames.segment(cursor, job.segment_id).shard
                rows = frames.unembedded(cursor, int(job.project_id or 0), job.segment_id, job.key)
        read = self._node.store.read
        jpegs = {row.id: read(shard, row.shard_offset, row.size_bytes) for row in rows}
        return _Work(jpegs, digest)

    def process(self, job: Job, work: _Work, beat: Beat) -> Outcome:
        if not work.jpegs:
            return Outcome()
        started = time.monotonic()
        made = vectors.embed(self._model, work.jpegs, self._batch, beat)
        path = vectors.put(self._node.store, job, np.stack([made[key] for key in sorted(made)]))
        rows = _Embedded(sorted(made), path, work.known)
        return Outcome(rows=rows, items=len(made), seconds={"embed": time.monotonic() - started})

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        made: _Embedded | None = outcome.rows
        if made is None:
            return
        if job.segment_id is None:
            known.add_embedding(cursor, str(made.known), job.key, made.path)
        else:
            frames.add_embedding(cursor, job.segment_id, job.key, made.keys, made.path)

    def close(self) -> None:
        self._model.close()
