"""Detect: boxes on the kept frames of a segment that have none under the detector's key yet. Several may vote.

What each detector sees is stored under its own key, word by word. Where several words mean one class, or several
detectors vote, what is left of that is stored beside it: another class, voter or pair that may overlap costs no
detector a second look.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from data_miner.config.schema import STORED_FROM_SCORE, ProjectConfig
from data_miner.ledger import frames
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.models import registry
from data_miner.models.batching import halving
from data_miner.models.voting import Found, floor_of, standing
from data_miner.records import Box, key_of
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan, model_at, model_of
from data_miner.stages.fitting import fitting_batch

_VOTE = 1  # version of the rule by which boxes are merged
Boxes = dict[int, Sequence[Box]]  # by pts_ms


@dataclass(frozen=True)
class Detect:
    """Run a detector, or several. Boxes are stored from score .05 up; the project's `conf` and sizes are verdicts."""

    model: str = ""
    digest: str = ""
    text: Mapping[str, str] | None = None  # the model that reads the words, where one is needed
    members: Sequence[Mapping[str, Any]] = ()  # several that vote: model, digest, text, key of each
    words: Sequence[str] = field(default_factory=tuple)  # what the detectors are asked for
    imgsz: int = 640
    iou: float = 0.7
    max_det: int = 30
    batch: int = 16
    labels: Mapping[str, str] = field(default_factory=dict)  # of a vote: word -> class
    may_overlap: Sequence[Sequence[str]] = ()
    name: ClassVar[str] = "detect"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=1.0, gpus=0.25)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """The key holds all that moves a box; which class a word belongs to counts only where classes vote."""
        own = config.detect
        labels = {word.lower(): label for label, words in config.classes.items() for word in words}
        asked = {"words": sorted(labels), **own.model_dump(mode="json", include={"imgsz", "iou", "max_det"})}
        decides = {"conf", "min_area", "max_area", "min_aspect", "max_aspect", "min_agreement"}
        params = {**own.model_dump(mode="json", include=decides), "labels": labels}
        members = [cls._member(name, own.text_model, asked, models) for name in own.detectors]
        runtime: dict[str, Any] = {**asked, "batch": own.batch}
        if len(members) == 1 and len(labels) == len(config.classes):
            runtime.update({name: value for name, value in members[0].items() if name != "key"})
            return StagePlan(key=members[0]["key"], params=params, runtime=runtime)
        rule: dict[str, Any] = {"labels": labels, "may_overlap": [list(pair) for pair in own.may_overlap]}
        key = key_of(stage="vote", version=_VOTE, members=[one["key"] for one in members], most=own.max_det, **rule)
        return StagePlan(key=key, params=params, runtime={**runtime, **rule, "members": members})

    @classmethod
    def _member(cls, name: str, text_model: str, asked: Mapping[str, Any], models: Sequence[Path]) -> dict[str, Any]:
        """One detector: what must be loaded, and the key of what it sees."""
        found: dict[str, Any] = dict(model_of(name, "detect", models))
        ref = registry.find(name, models)
        if ref is not None and registry.needs_text(ref):
            found["text"] = model_of(text_model, "text", models)
        pixels = {"digest": found["digest"], **asked}
        if "text" in found:
            pixels["text"] = found["text"]["digest"]
        key = key_of(stage=cls.name, version=cls.version, floor=STORED_FROM_SCORE, **pixels)
        return {**found, "key": key}

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Detect":
        """The detectors of a pool."""
        return cls(**runtime)

    def open(self, node: Node) -> Runner:
        """Load the detectors."""
        alone = {"model": self.model, "digest": self.digest, "key": "", "text": self.text}
        return _Runner(self, node, [self._open(member, node) for member in self.members or [alone]])

    def _open(self, member: Mapping[str, Any], node: Node) -> "_Member":
        ref, text = model_at(node, member["model"], "detect"), member.get("text")

        def load(batch: int) -> Any:
            return registry.open_detector(
                ref,
                classes={word: [word] for word in self.words},
                imgsz=self.imgsz,
                iou=self.iou,
                max_det=self.max_det,
                floor=STORED_FROM_SCORE,
                device=node.device,
                threads=node.threads,
                batch=batch,
                text=model_at(node, text["model"], "text") if text else None,
                cache=node.scratch / "words",
            )

        name, shape = f"{member['digest']} imgsz {self.imgsz}", (self.imgsz, self.imgsz)
        batch = fitting_batch(node, name, self.batch, load, lambda model, rgb: model.detect(rgb), shape)
        return _Member(member["model"], member["key"], floor_of(ref.kind), load(batch), batch)


@dataclass(frozen=True, slots=True)
class _Member:
    model: str
    key: str  # empty: alone, the job's key is its own
    floor: float  # boxes below it have no vote
    detector: Any
    batch: int


@dataclass(frozen=True, slots=True)
class _Work:
    frames: Sequence[Any]  # pts_ms, width, height
    jpegs: Mapping[int, bytes]
    seen: Mapping[str, Boxes]  # of members that looked at frames before: by key


class _Runner:
    def __init__(self, stage: Detect, node: Node, members: Sequence[_Member]) -> None:
        self._stage, self._node, self._members = stage, node, members

    def load(self, job: Job) -> _Work:
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        with self._node.ledger.transaction() as cursor:
            segment = frames.segment(cursor, segment_id)
            rows = frames.undetected(cursor, project_id, segment_id, job.key)
            keys = [member.key for member in self._members if member.key]
            seen: dict[str, Boxes] = {key: dict(frames.boxes(cursor, segment_id, key)) for key in keys}
        read = self._node.store.read
        return _Work(rows, {row.pts_ms: read(segment.shard, row.shard_offset, row.size_bytes) for row in rows}, seen)

    def process(self, job: Job, work: _Work, beat: Beat) -> Outcome:
        started, made, done = time.monotonic(), dict[str, Boxes](), 0
        for member in self._members:
            key = member.key or job.key
            seen = work.seen.get(key, {})
            missing = [row for row in work.frames if row.pts_ms not in seen]
            made[key] = self._look(member, missing, work.jpegs, partial(_beat_on, beat, done))
            done += len(missing)
        if self._stage.members:
            made[job.key] = {row.pts_ms: self._vote(row.pts_ms, made, work.seen) for row in work.frames}
        return Outcome(rows=made, items=len(work.frames), seconds={"detect": time.monotonic() - started})

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        for key, boxes in outcome.rows.items():
            frames.detected(cursor, int(job.segment_id or 0), key, boxes)

    def close(self) -> None:
        for member in self._members:
            member.detector.close()

    def _look(self, member: _Member, rows: Sequence[Any], jpegs: Mapping[int, bytes], beat: Beat) -> Boxes:
        from data_miner.media import jpeg

        found: Boxes = {}
        for same in _by_size(rows):
            for times, boxes in halving(
                [row.pts_ms for row in same],
                member.batch,
                lambda times: member.detector.detect([jpeg.decode(jpegs[t]) for t in times]),
            ):
                found.update(zip(times, map(_as_asked, boxes), strict=True))
                beat(len(found))
        return found

    def _vote(self, pts_ms: int, made: Mapping[str, Boxes], seen: Mapping[str, Boxes]) -> list[Box]:
        """The boxes that stand, in the detectors' words, with how many found each and whose it is."""
        own = self._stage
        found = [
            Found(one.model, one.floor, made[one.key].get(pts_ms) or seen[one.key].get(pts_ms) or ())
            for one in self._members
        ]
        return standing(found, own.labels, iou=own.iou, most_per_class=own.max_det, may_overlap=own.may_overlap)


def _as_asked(boxes: Sequence[Box]) -> list[Box]:
    """With the word that was asked for as the prompt; a model may write it in its own way."""
    return [replace(box, prompt=box.label) for box in boxes]


def _beat_on(beat: Beat, before: int, n: int) -> None:
    beat(before + n)


def _by_size(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """One picture size each: mixed sizes change the letterboxing and move boxes."""
    ordered = sorted(rows, key=lambda row: (row.width, row.height, row.pts_ms))
    for _, same in groupby(ordered, key=lambda row: (row.width, row.height)):
        yield list(same)
