"""Detect: boxes on the kept frames of a segment that have none under the detector's key yet."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from data_miner.config.schema import STORED_FROM_SCORE, ProjectConfig
from data_miner.errors import SmallerError
from data_miner.ledger import frames
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.models import registry
from data_miner.records import Box, key_of
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan, model_of


@dataclass(frozen=True)
class Detect:
    """Run a detector. Boxes are stored from score .05 up; the project's `conf` and sizes are verdicts."""

    model: str = ""
    digest: str = ""
    words: Sequence[str] = field(default_factory=tuple)  # what the detector is asked for
    imgsz: int = 640
    iou: float = 0.7
    max_det: int = 30
    batch: int = 16
    name: ClassVar[str] = "detect"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=1.0, gpus=0.25)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """The key holds all that moves a box; which class a word belongs to does not."""
        own = config.detect
        labels = {word.lower(): label for label, words in config.classes.items() for word in words}
        runtime: dict[str, Any] = {
            **model_of(str(own.model), "detect", models),
            "words": sorted(labels),
            **own.model_dump(mode="json", include={"imgsz", "iou", "max_det", "batch"}),
        }
        pixels = {name: value for name, value in runtime.items() if name not in ("model", "batch")}
        params = own.model_dump(mode="json", include={"conf", "min_area", "max_area"})
        return StagePlan(
            key=key_of(stage=cls.name, version=cls.version, floor=STORED_FROM_SCORE, **pixels),
            params={**params, "labels": labels},
            runtime=runtime,
        )

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Detect":
        """The detector of a pool."""
        return cls(**runtime)

    def open(self, node: Node) -> Runner:
        """Load the detector."""
        ref = registry.check(self.model, "detect", node.models)
        detector = registry.open_detector(
            ref,
            classes={word: [word] for word in self.words},
            imgsz=self.imgsz,
            iou=self.iou,
            max_det=self.max_det,
            floor=STORED_FROM_SCORE,
            device=node.device,
            threads=node.threads,
            batch=self.batch,
        )
        return _Runner(self, node, detector)


@dataclass(frozen=True, slots=True)
class _Work:
    frames: Sequence[Any]  # pts_ms, width, height
    jpegs: Sequence[bytes]


class _Runner:
    def __init__(self, stage: Detect, node: Node, detector: Any) -> None:
        self._stage, self._node, self._detector = stage, node, detector

    def load(self, job: Job) -> _Work:
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        with self._node.ledger.transaction() as cursor:
            segment = frames.segment(cursor, segment_id)
            rows = frames.undetected(cursor, project_id, segment_id, job.key)
        read = self._node.store.read
        return _Work(rows, [read(segment.shard, row.shard_offset, row.size_bytes) for row in rows])

    def process(self, job: Job, work: _Work, beat: Beat) -> Outcome:
        started, boxes = time.monotonic(), dict[int, Sequence[Box]]()
        for times, jpegs in self._batches(work):
            boxes.update(zip(times, self._detect(jpegs), strict=True))
            beat(len(boxes))
        return Outcome(rows=boxes, items=len(boxes), seconds={"detect": time.monotonic() - started})

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        frames.detected(cursor, int(job.segment_id or 0), job.key, outcome.rows)

    def close(self) -> None:
        self._detector.close()

    def _batches(self, work: _Work) -> Iterator[tuple[list[int], list[bytes]]]:
        """One job, one picture size each: mixed sizes change the letterboxing and move boxes."""
        pairs = sorted(zip(work.frames, work.jpegs, strict=True), key=lambda p: (p[0].width, p[0].height, p[0].pts_ms))
        for _, same in groupby(pairs, key=lambda p: (p[0].width, p[0].height)):
            group = list(same)
            for i in range(0, len(group), self._stage.batch):
                part = group[i : i + self._stage.batch]
                yield [frame.pts_ms for frame, _ in part], [data for _, data in part]

    def _detect(self, jpegs: Sequence[bytes]) -> list[list[Box]]:
        from data_miner.media import jpeg

        try:
            found: list[list[Box]] = self._detector.detect([jpeg.decode(data) for data in jpegs])
            return found
        except SmallerError:
            if len(jpegs) == 1:
                raise
            middle = len(jpegs) // 2
            return self._detect(jpegs[:middle]) + self._detect(jpegs[middle:])
