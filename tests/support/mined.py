"""A small project mined in one process: real stages, a real ledger, boxes at known places for a model's.

Three films of numbered patterns, of which the first two show the same, and one file that is no film.
"""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.cli.preparation import load, registration
from data_miner.config.settings import Settings
from data_miner.config.sites import Sites, load_sites
from data_miner.engine.process import identity
from data_miner.errors import JobError, NotNowError
from data_miner.ledger import frames, jobs, meta, projects, stats, successors
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from data_miner.records import Box
from data_miner.stages import known
from data_miner.stages.base import Node, Runner
from data_miner.stages.pipeline import STAGES
from data_miner.store.artifacts import Store
from pipelines.mine import PIPELINE
from tests.support.videos import pattern, write_video

FILMS, SECONDS = 3, 6
BOX = Box("thing", 0.75, (40.0, 24.0, 120.0, 96.0), "thing")  # on every picture of an even second
PROJECT = """\
description: numbered patterns
classes: [thing]
sources: {{folder: {films}}}
extract: {{fps: 1}}
filter: {{min_side: 0, min_sharpness: 0, min_contrast: 0, brightness: [0, 255]}}
dedup: {{hash_distance: 6}}
detect: {{model: {model}}}
export: {{background: 0.2}}
"""


@dataclass(frozen=True)
class Place:
    """Where the project's files are; the ledger is the caller's."""

    folder: Path

    @property
    def settings(self) -> Settings:
        """As the environment of a command would give it."""
        return Settings.from_env(str(self.folder / "data"), env={})

    @property
    def file(self) -> Path:
        """The project file."""
        return self.folder / "configs" / "projects" / "patterns.yaml"


def prepare(folder: Path) -> Place:
    """Write films, a project file and something that has a model's name."""
    films = folder / "films"
    films.mkdir()
    for number in range(FILMS):
        # Another length each, or equal pictures would make equal files: one video.
        count, first = SECONDS * 10 + 1 + number, 1001 if number == FILMS - 1 else 0
        pictures = [pattern(first + k, 320, 192) for k in range(count)]
        pts = [k * 100 for k in range(count)]
        write_video(films / f"film{number}.mp4", pts, size=(320, 192), pictures=pictures)
    (films / "broken.mp4").write_bytes(b"<html>no film</html>")
    model = folder / "thing.pt"
    model.write_bytes(b"never opened")
    place = Place(folder)
    place.file.parent.mkdir(parents=True)
    place.file.write_text(PROJECT.format(films=films, model=model))
    return place


def mine(ledger: Ledger, place: Place, *overrides: str) -> int:
    """Register the project, as `run --set` would, and do all its jobs, one after the other; returns its id."""
    settings = place.settings
    name, config = load(str(place.file), settings, overrides, None)
    store, paces = Store(settings.store), load_sites(settings)
    found = store.claim_identity(uuid.uuid4().hex)
    wanted = registration(name, config, PIPELINE, settings)
    if config.dedup.against:
        known.keep(ledger, store, [Path(folder) for folder in config.dedup.against])
    with ledger.transaction() as cursor:
        meta.keep_store_id(cursor, found)
        project_id, _ = projects.register(cursor, wanted, paces)
    work_off(ledger, settings, paces)
    return project_id


def work_off(ledger: Ledger, settings: Settings, paces: Sites) -> None:
    """Claim and do jobs until there is none."""
    node = Node(ledger, Store(settings.store), settings.scratch, (settings.models,), paces)
    worker = uuid.uuid4()
    with ledger.transaction() as cursor:
        jobs.register_worker(cursor, worker, "test", identity())
    runners: dict[tuple[str, str], Runner] = {}
    while (claimed := _claimed(ledger, worker)) is not None:
        job, runtime = claimed
        key = (job.stage, str(runtime))
        if key not in runners and not _is_made_up(job, runtime):
            runners[key] = STAGES[job.stage].from_runtime(runtime).open(node)
        _do(node, job, worker, runners.get(key))


def _claimed(ledger: Ledger, worker: uuid.UUID) -> tuple[Job, Any] | None:
    with ledger.transaction() as cursor:
        plans = projects.plans(cursor).values()
        for plan in plans:
            for stage in plan["stages"]:
                job = jobs.claim(cursor, stage, plan[stage]["runtime_key"], worker)
                if job is not None:
                    return job, plan[stage]["runtime"]
    return None


def _is_made_up(job: Job, runtime: Any) -> bool:
    """Is this a job of the detector that is none?"""
    models = [runtime, *runtime.get("members", ())]
    return job.stage == "detect" and any(str(one.get("model", "")).endswith("/thing.pt") for one in models)


def _do(node: Node, job: Job, worker: uuid.UUID, runner: Runner | None) -> None:
    try:
        if runner is None:
            _box(node, job)
            return
        outcome = runner.process(job, runner.load(job), lambda progress: None)
    except (JobError, NotNowError) as error:
        assert isinstance(error, JobError), f"{job.stage} came too early: {error}"
        with node.ledger.transaction() as cursor:
            jobs.fail(cursor, job, error, worker)
            successors.derive_after(cursor, job.project_id, job.video_id)
        return
    with node.ledger.transaction() as cursor:
        jobs.lock(cursor, job)
        runner.save(cursor, job, outcome)
        jobs.finish(cursor, job, outcome.reason)
        successors.derive_after(cursor, job.project_id, job.video_id)
    stats.record(node.ledger, job, worker, "cpu", outcome.items, outcome.size_bytes, {"process": 0.5})


def _box(node: Node, job: Job) -> None:
    """Put BOX on every picture of an even second, where the detector would have put its own."""
    with node.ledger.transaction() as cursor:
        jobs.lock(cursor, job)
        rows = frames.undetected(cursor, int(job.project_id or 0), int(job.segment_id or 0), job.key)
        boxes = {row.pts_ms: [BOX] if row.pts_ms // 1000 % 2 == 0 else [] for row in rows}
        frames.detected(cursor, int(job.segment_id or 0), job.key, boxes)
        jobs.finish(cursor, job)
        successors.derive_after(cursor, job.project_id, job.video_id)
