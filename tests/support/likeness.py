"""A world in which a test says what looks like what, and a miner that embeds: one picture a video, told by angles."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_miner.errors import NeverError, NotNowError
from data_miner.ledger import frames, known, projects, retry, words
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.jobs import Job
from data_miner.records import FrameRow, key_of
from data_miner.stages import vectors
from data_miner.stages.base import Node
from data_miner.stages.dedup import Dedup
from data_miner.store.artifacts import Store
from tests.support.ledger import Effect, Miner, World, kept, plan

STAGES = ("expand", "download", "extract", "filter", "embed", "dedup", "detect")
COSINE = math.cos(math.radians(10))  # pictures less than ten degrees apart are alike


@dataclass
class Gallery(World):
    """Videos of one picture at 0 ms. `angles` by native id in degrees; hashes are far apart but where `twins` says."""

    angles: Mapping[str, float] = field(default_factory=dict)
    twins: Mapping[str, str] = field(default_factory=dict)  # shows what the other shows, to the bit

    def __post_init__(self) -> None:
        self.seconds = {native: 5 for listed in self.listings.values() for native in listed}

    def frame(self, video_id: str, pts_ms: int) -> FrameRow:
        """A good picture."""
        native = video_id.partition(":")[2]
        phash = int(key_of(shown=self.twins.get(native, native))[:16], 16)
        return FrameRow(pts_ms, pts_ms, 100, 1280, 720, 100.0, 100.0, 50.0, phash)

    def vector(self, native: str) -> list[float]:
        """Its place on a circle."""
        angle = math.radians(self.angles[native])
        return [math.cos(angle), math.sin(angle)]


class LikenessMiner(Miner):
    """Embeds with a model that sees angles. `effects` as ever."""

    def __init__(
        self, ledger: Ledger, world: Gallery, store: Store, effects: Mapping[str, Effect] | None = None
    ) -> None:
        super().__init__(ledger, world, effects)
        self._angles, self._store = world, store
        node = Node(ledger, store, Path("/nowhere"), (), world.paces)
        self._admitter = Dedup().open(node)

    def all_through(self, stages: Sequence[str] = STAGES[::-1]) -> None:
        """Work until nothing is left to claim."""
        self.run(stages, most=300)

    @staticmethod
    def _runtime_keys(cursor: Cursor, stage: str) -> list[str]:
        query = "SELECT DISTINCT runtime_key FROM job WHERE stage = %s AND state = 'waiting'"
        return [row.runtime_key for row in cursor.execute(query, [stage]).fetchall()]

    def _embed(self, job: Job) -> tuple[Any, str]:
        """What the stage does, but for pixels; of known pictures there is one, at 180 degrees."""
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        with self.ledger.transaction() as cursor:
            if frames.params(cursor, project_id, "embed").key != job.key:
                raise NotNowError("another model embeds now")
            times = [row.id for row in frames.unembedded(cursor, project_id, segment_id, job.key)]
            digest = frames.params(cursor, project_id, "dedup").params.get("known")
        native = str(job.video_id).partition(":")[2]
        seen = [self._angles.vector(native)] * len(times) if job.segment_id else [[-1.0, 0.0]]
        path = vectors.put(self._store, job, np.array(seen, np.float32).reshape(-1, 2))
        if job.segment_id is None:
            return lambda cursor: known.add_embedding(cursor, str(digest), job.key, path), ""
        return lambda cursor: frames.add_embedding(cursor, segment_id, job.key, times, path), ""


def mined_by(
    ledger: Ledger, world: Gallery, *, model: str | None = "m1", against: str | None = None, **turned: Any
) -> int:
    """Register the world's project with dedup by hash, and by the cosine of a model; returns its id."""
    own = plan(is_scored=False, hash_distance=None if model else 4, **turned)
    if model is not None:
        key = key_of(stage="embed", model=model)
        own["embed"] = {"key": key, "runtime_key": model, "params": {}, "runtime": {"model": model, "digest": model}}
        own["dedup"]["params"].update(cosine=COSINE, embedding=key)
        own["stages"] = list(STAGES)
    if against is not None:
        own["dedup"]["params"]["known"] = against
    own["dedup"]["key"] = key_of(**own["dedup"]["params"])
    config = {"model": model, "against": against, "turned": sorted(turned), "classes": ["door"]}
    wanted = projects.Registration("p", config, key_of(plan=own), own, world.sources())
    return ledger.with_retry(lambda cursor: projects.register(cursor, wanted, world.paces)[0], deadline_s=20)


def label(ledger: Ledger, project_id: int, *natives: str) -> None:
    """A person draws a box on these videos' pictures."""
    boxes = {(f"local:{native}", 0): [("door", 0.1, 0.1, 0.4, 0.4)] for native in natives}

    def speak(cursor: Cursor) -> None:
        words.take_turn(cursor, project_id)
        words.put_labels(cursor, project_id, boxes)
        words.apply(cursor, project_id)

    ledger.with_retry(speak, deadline_s=20)


def reject(ledger: Ledger, project_id: int, native: str, *, is_undone: bool = False) -> None:
    """A person rejects a video's picture, or takes that back."""

    def speak(cursor: Cursor) -> None:
        words.take_turn(cursor, project_id)
        (words.take_back if is_undone else words.reject)(cursor, project_id, words.Meant([(f"local:{native}", 0)]))
        words.apply(cursor, project_id)

    ledger.with_retry(speak, deadline_s=20)


def shown(ledger: Ledger, project_id: int) -> str:
    """Native ids of the videos whose picture is kept, in data order."""
    return "".join(video.partition(":")[2] for video, _ in kept(ledger, project_id))


def dies(*natives: str) -> Callable[[Job], None]:
    """An effect that ends the work on these videos for good."""

    def effect(job: Job) -> None:
        if str(job.video_id).rpartition(":")[2] in natives:
            raise NeverError("model", "broken")

    return effect


def revive(ledger: Ledger, project_id: int, stage: str | None = None) -> dict[tuple[str, str], int]:
    """What `retry` does."""
    return ledger.with_retry(lambda cursor: retry.revive(cursor, project_id, stage), deadline_s=20)
