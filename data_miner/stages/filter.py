"""Filter: image-text scores of the frames that stand the quality thresholds. Verdicts are SQL over these numbers.

Embeddings are kept, so that a changed prompt costs text and no pixels.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data_miner.config.schema import ProjectConfig
from data_miner.ledger import frames, verdicts
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.models import registry
from data_miner.records import FrameScore, key_of
from data_miner.stages import vectors
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan, model_at, model_of
from data_miner.stages.fitting import fitting_batch

_SHAPE = (720, 1280)  # of a probe's pictures: the model scales all to one size

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Scored:
    key: str
    scores: Sequence[FrameScore]
    embedding: tuple[Sequence[int], str] | None  # times and artifact of what was embedded now


@dataclass(frozen=True)
class Filter:
    """Score frames against prompts. Without a model only the quality thresholds speak."""

    model: str | None = None
    digest: str = ""
    name: ClassVar[str] = "filter"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=1.0, gpus=0.5)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """Scores are named by model and prompts; thresholds only decide."""
        own = config.filter
        runtime = model_of(own.model, "filter", models) if own.model else {}
        prompts = {"positive": own.positive, "negative": own.negative, "junk": own.junk} if own.model else {}
        params = own.model_dump(mode="json", exclude={"model", "positive", "negative", "junk"})
        params.update(is_scored=bool(own.model), prompts={name: list(words) for name, words in prompts.items()})
        params["embedding"] = key_of(stage="embed", version=cls.version, digest=runtime.get("digest"))
        key = key_of(stage=cls.name, version=cls.version, digest=runtime.get("digest"), prompts=params["prompts"])
        return StagePlan(key=key, params=params, runtime=runtime)

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Filter":
        """The model of a pool."""
        return cls(**runtime)

    def open(self, node: Node) -> Runner:
        """Nothing is loaded before the first frame or prompt that needs it."""
        return _Runner(self, node)


@dataclass(frozen=True, slots=True)
class _Work:
    key: str
    params: Mapping[str, Any]
    pts_ms: NDArray[np.int64]  # of all good frames
    known: Mapping[int, Vectors]  # embeddings that are here
    jpegs: Mapping[int, bytes]  # of frames without one


class _Runner:
    def __init__(self, stage: Filter, node: Node) -> None:
        self._stage, self._node = stage, node
        self._scorer: Any = None
        self._wanted = self._batch = 1
        self._texts: dict[str, Vectors] = {}

    def load(self, job: Job) -> _Work:
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        with self._node.ledger.transaction() as cursor:
            own = frames.params(cursor, project_id, "filter")
            if not own.params["is_scored"]:
                return _Work(own.key, own.params, np.array([], np.int64), {}, {})
            segment = frames.segment(cursor, segment_id)
            good = frames.good_frames(cursor, project_id, segment_id)
            parts = frames.embeddings(cursor, segment_id, own.params["embedding"])
        known = {pts_ms: vector for (_, pts_ms), vector in vectors.read_parts(self._node.store, parts).items()}
        jpegs = {
            row.pts_ms: self._node.store.read(segment.shard, row.shard_offset, row.size_bytes)
            for row in good
            if row.pts_ms not in known
        }
        return _Work(own.key, own.params, np.array([row.pts_ms for row in good], np.int64), known, jpegs)

    def process(self, job: Job, work: _Work, beat: Beat) -> Outcome:
        if len(work.pts_ms) == 0:
            return Outcome(rows=_Scored(work.key, [], None))
        started = time.monotonic()
        self._wanted = int(work.params["batch"])
        model = self._model()
        fresh = vectors.embed(model, work.jpegs, self._batch, beat) if work.jpegs else {}
        embedded, every = time.monotonic(), {**work.known, **fresh}
        scores = list(self._score(work, np.stack([every[t] for t in work.pts_ms.tolist()])))
        part = None
        if fresh:
            stacked = np.stack([fresh[t] for t in sorted(fresh)])
            part = (sorted(fresh), vectors.put(self._node.store, job, stacked))
        seconds = {"embed": embedded - started, "score": time.monotonic() - embedded}
        return Outcome(rows=_Scored(work.key, scores, part), items=len(fresh), seconds=seconds)

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        scored: _Scored = outcome.rows
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        if scored.embedding is not None:
            model = frames.params(cursor, project_id, "filter").params["embedding"]
            frames.add_embedding(cursor, segment_id, model, *scored.embedding)
        frames.scored(cursor, project_id, segment_id, scored.key, scored.scores)
        verdicts.filtered(cursor, project_id, segment_id, scored.key)

    def close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()

    def _score(self, work: _Work, vectors: Vectors) -> Any:
        best = {name: self._best(vectors, words) for name, words in work.params["prompts"].items() if words}
        nothing = [(None, None)] * len(vectors)
        negative, junk = best.get("negative", nothing), best.get("junk", nothing)
        for i, pts_ms in enumerate(work.pts_ms.tolist()):
            yield FrameScore(pts_ms, *best["positive"][i], *negative[i], *junk[i])

    def _best(self, vectors: Vectors, prompts: Sequence[str]) -> list[tuple[float, str]]:
        """The best score of each picture and the prompt that gave it."""
        new = [prompt for prompt in prompts if prompt not in self._texts]
        if new:
            self._texts.update(zip(new, self._model().embed_texts(new), strict=True))
        scores = self._model().scores(vectors, np.stack([self._texts[prompt] for prompt in prompts]))
        return [(float(row[k]), prompts[k]) for row, k in zip(scores, scores.argmax(axis=1), strict=True)]

    def _model(self) -> Any:
        if self._scorer is None:
            ref = model_at(self._node, str(self._stage.model), "filter")
            load = partial(registry.open_scorer, ref, self._node.device, self._node.threads)
            self._batch = fitting_batch(
                self._node, self._stage.digest, self._wanted, load, lambda model, rgb: model.embed_images(rgb), _SHAPE
            )
            self._scorer = load(self._batch)
        return self._scorer
