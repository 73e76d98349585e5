"""A made-up world and a worker that mines it with nothing but ledger functions: a project in milliseconds."""

import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.rows import tuple_row

from data_miner.config.sites import UNPACED, Sites
from data_miner.errors import JobError, LeaseLostError, NotNowError
from data_miner.ledger import frames, jobs, projects, sites, successors, verdicts, videos
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.jobs import Job
from data_miner.records import Box, FrameRow, FrameScore, MediaFile, MediaInfo, SourceSpec, VideoInfo, key_of
from data_miner.stages.base import Node
from data_miner.stages.dedup import Dedup

ORDER = ("detect", "dedup", "filter", "extract", "download", "expand")
LOCAL_ID = "local"
Effect = Callable[[Job], None]  # raises what the work raises


def plan(
    *,
    max_height: int = 720,
    skip_keywords: Sequence[str] = (),
    extract_version: int = 1,
    segment_s: int = 10,
    is_scored: bool = True,
    prompts: str = "a door",
    positive: float = 0.3,
    min_sharpness: float = 40.0,
    hash_distance: int | None = 4,
    detector: str = "d1",
    conf: float = 0.3,
    stages: Sequence[str] = ("expand", "download", "extract", "filter", "dedup", "detect"),
) -> dict[str, Any]:
    """A plan as `plan_project` makes it, of the parts that tests turn."""
    policy = {"match_filters": None, "skip_keywords": list(skip_keywords), "license": "any"}
    scorer = {"model": "scorer", "digest": "s1"} if is_scored else {}
    thresholds = {"positive": positive, "negative": 0.3, "margin": 0.1, "junk": 0.3, "junk_margin": 0.1}
    quality = {
        "min_side": 100,
        "min_sharpness": min_sharpness,
        "min_contrast": 5.0,
        "brightness": [20.0, 235.0],
    }
    detect = {"model": detector, "digest": detector}
    return {
        "expand": _stage(key="expand"),
        "download": _stage(
            key=key_of(stage="download", max_height=max_height),
            params={
                "max_height": max_height,
                "max_filesize": 10**9,
                "allow_hosts": [],
                "policy": policy,
                "policy_key": key_of(**policy),
            },
        ),
        "extract": _stage(
            key=key_of(stage="extract", version=extract_version, segment_s=segment_s),
            params={"strategy": "interval", "fps": 1.0, "max_frames": None, "segment_s": segment_s},
        ),
        "filter": _stage(
            key=key_of(stage="filter", prompts=prompts, is_scored=is_scored),
            params={**quality, "thresholds": thresholds, "is_scored": is_scored, "embedding": "e1"},
            runtime=scorer,
        ),
        "dedup": _stage(key=key_of(stage="dedup", d=hash_distance), params={"hash_distance": hash_distance}),
        "detect": _stage(
            key=key_of(stage="detect", **detect),
            params={"conf": conf, "min_area": 0.0, "max_area": 1.0, "labels": {"door": "door"}},
            runtime=detect,
        ),
        "stages": list(stages),
    }


def _stage(
    key: str, params: Mapping[str, Any] | None = None, runtime: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    runtime_key = key_of(**runtime) if runtime else ""
    return {"key": key, "runtime_key": runtime_key, "params": params or {}, "runtime": runtime or {}}


@dataclass
class World:
    """What sources list and what is in their videos; every number follows from ids and `seed`."""

    listings: Mapping[str, Sequence[str]]  # locator -> native ids
    site: str | None = None
    seconds: Mapping[str, int] = field(default_factory=dict)  # of a video; else 25
    titles: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    paces: Sites = field(default_factory=lambda: Sites(UNPACED))
    pool: int = 6  # different pictures there are; the rest are near them

    def sources(self) -> list[SourceSpec]:
        """As a project file would name them."""
        return [SourceSpec("search", locator, self.site) for locator in self.listings]

    def video(self, native: str, title: str | None = None) -> VideoInfo:
        """What the page of a video says."""
        extractor = LOCAL_ID if self.site is None else "tube"
        words = title if title is not None else self.titles.get(native, native)
        return VideoInfo(f"{extractor}:{native}", f"http://x/{native}", self.site, title=words)

    def listed(self, locator: str) -> list[VideoInfo]:
        """What a search shows."""
        return [self.video(native) for native in self.listings[locator]]

    def file(self, video_id: str) -> MediaFile:
        """The file of a video."""
        native = video_id.partition(":")[2]
        media = MediaInfo(0, self.seconds.get(native, 25) * 1000, 1280, 720, "h264", 25.0)
        return MediaFile(Path("/nowhere"), key_of(v=video_id), 1000, media, self.video(native))

    def frames(self, video_id: str, start_ms: int, end_ms: int) -> list[FrameRow]:
        """One frame every five seconds of a segment."""
        return [self.frame(video_id, pts_ms) for pts_ms in range(start_ms, end_ms, 5000)]

    def frame(self, video_id: str, pts_ms: int) -> FrameRow:
        """One frame."""
        chance = random.Random(f"{self.seed}/{video_id}/{pts_ms}")
        picture = random.Random(f"{self.seed}/{chance.randrange(self.pool)}").getrandbits(64)
        for _ in range(chance.randrange(6)):
            picture ^= 1 << chance.randrange(64)
        sharpness = float(chance.choice([10, 50, 60, 90, 120]))
        return FrameRow(pts_ms, pts_ms, 100, 1280, 720, sharpness, 100.0, 50.0, picture)

    def score(self, video_id: str, pts_ms: int, key: str) -> FrameScore:
        """How well a frame fits the prompts of a filter key."""
        chance = random.Random(f"{self.seed}/{video_id}/{pts_ms}/{key}")
        return FrameScore(pts_ms, round(chance.uniform(0.1, 0.9), 3), "a door")

    def boxes(self, video_id: str, pts_ms: int, key: str) -> list[Box]:
        """What a detector finds on a frame."""
        chance = random.Random(f"{self.seed}/{video_id}/{pts_ms}/{key}/boxes")
        return [
            Box("door", round(chance.uniform(0.05, 0.95), 3), (10.0 * n, 5.0, 10.0 * n + 200, 300.0))
            for n in range(chance.randrange(3))
        ]


def register(
    ledger: Ledger,
    world: World,
    name: str = "p",
    *,
    limit: int | None = None,
    refresh: bool = False,
    **turned: Any,
) -> int:
    """Register a project over all of a world's sources; returns its id."""
    own = plan(**turned)
    wanted = projects.Registration(
        name,
        {"turned": sorted(turned)},
        key_of(plan=own),
        own,
        world.sources(),
        video_limit=limit,
        is_refreshed=refresh,
    )
    return ledger.with_retry(lambda cursor: projects.register(cursor, wanted, world.paces)[0], deadline_s=20)


class Miner:
    """A worker of every stage. `effects` by stage may raise what a real stage would raise."""

    def __init__(self, ledger: Ledger, world: World, effects: Mapping[str, Effect] | None = None) -> None:
        self.ledger, self.world, self.effects = ledger, world, dict(effects or {})
        self.id = uuid.uuid4()
        self.done: list[tuple[str, str | None, int | None]] = []
        self._admitter = Dedup().open(Node(ledger, None, Path("/nowhere"), (), world.paces))  # type: ignore[arg-type]
        with ledger.transaction() as cursor:
            process = {"host": "here", "pid": 1, "pid_started": 1.0}
            jobs.register_worker(cursor, self.id, "all", process)

    def claim(self, stages: Iterable[str] = ORDER, *, lease_s: float = 30) -> Job | None:
        """The next job of these stages, whatever its runtime key."""
        with self.ledger.transaction() as cursor:
            for stage in stages:
                for runtime_key in self._runtime_keys(cursor, stage):
                    job = jobs.claim(cursor, stage, runtime_key, self.id, lease_s=lease_s)
                    if job is not None:
                        return job
        return None

    @staticmethod
    def _runtime_keys(cursor: Cursor, stage: str) -> list[str]:
        if stage not in ("filter", "detect"):
            return [""]
        query = "SELECT DISTINCT runtime_key FROM job WHERE stage = %s AND state = 'waiting'"
        return [row.runtime_key for row in cursor.execute(query, [stage]).fetchall()]

    def finish(self, job: Job) -> str:
        """Do a claimed job and commit it as the engine's worker does: done, early, lost or the failure's event."""
        try:
            if (effect := self.effects.get(job.stage)) is not None:
                effect(job)
            save, reason = self._process(job)
        except NotNowError:
            return self._early(job)
        except JobError as error:
            return self.fail(job, error)
        return self.commit(job, save, reason)

    def commit(self, job: Job, save: Callable[[Cursor], None], reason: str = "") -> str:
        """The transaction that ends a job well."""

        def write(cursor: Cursor) -> None:
            jobs.lock(cursor, job)
            save(cursor)
            jobs.finish(cursor, job, reason)
            successors.derive_after(cursor, job.project_id, job.video_id, job.stage)

        try:
            self.ledger.with_retry(write, deadline_s=20)
        except LeaseLostError:
            return "lost"
        except NotNowError:
            return self._early(job)
        self.done.append((job.stage, job.video_id, job.segment_id))
        return "done"

    def fail(self, job: Job, error: JobError) -> str:
        """The transaction that ends a job badly."""

        def write(cursor: Cursor) -> str:
            event = jobs.fail(cursor, job, error, self.id)
            successors.derive_after(cursor, job.project_id, job.video_id)
            return event

        return self.ledger.with_retry(write, deadline_s=20)

    def step(self, stages: Iterable[str] = ORDER) -> str | None:
        """Claim one job and do it; None when there is none."""
        job = self.claim(stages)
        return None if job is None else self.finish(job)

    def run(self, stages: Sequence[str] = ORDER, *, most: int = 10_000) -> int:
        """Work until nothing is left to claim; returns how many jobs ended."""
        for n in range(most):
            if self.step(stages) is None:
                return n
        raise AssertionError(f"still not done after {most} jobs")

    def run_at_random(self, chance: random.Random, most: int = 10_000) -> None:
        """The same with several jobs in hand, claimed and ended in a random order."""
        held: list[Job] = []
        for _ in range(most):
            job = self.claim(chance.sample(ORDER, len(ORDER))) if len(held) < 4 else None
            if job is not None:
                held.append(job)
            if not held:
                return
            if job is None or chance.random() < 0.5:
                self.finish(held.pop(chance.randrange(len(held))))
        raise AssertionError(f"still not done after {most} jobs")

    def _early(self, job: Job) -> str:
        self.ledger.with_retry(lambda cursor: jobs.release(cursor, job), deadline_s=20)
        return "early"

    def _process(self, job: Job) -> tuple[Callable[[Cursor], None], str]:
        result: tuple[Callable[[Cursor], None], str] = getattr(self, f"_{job.stage}")(job)
        return result

    def _expand(self, job: Job) -> tuple[Callable[[Cursor], None], str]:
        with self.ledger.transaction() as cursor:
            locator = videos.source(cursor, int(job.source_id or 0)).locator
        found = self.world.listed(locator)
        return lambda cursor: _ignored(videos.expanded(cursor, int(job.source_id or 0), found, self.world.paces)), ""

    def _download(self, job: Job) -> tuple[Callable[[Cursor], None], str]:
        fetch_id, video_id = int(job.fetch_id or 0), str(job.video_id)
        if job.site is not None:
            with self.ledger.transaction() as cursor:
                sites.take_download_token(cursor, job.site)
        file = self.world.file(video_id)

        def save(cursor: Cursor) -> None:
            videos.page_read(cursor, fetch_id, file.info)
            videos.fetched(cursor, fetch_id, f"videos/{job.artifact}.mp4", file)

        return save, ""

    def skip(self, job: Job, reason: str) -> str:
        """End a download with a reason of the site's: gone, private, …"""
        return self.commit(job, lambda cursor: videos.skipped(cursor, str(job.video_id), reason), reason)

    def _extract(self, job: Job) -> tuple[Callable[[Cursor], None], str]:
        with self.ledger.transaction() as cursor:
            segment = frames.segment(cursor, int(job.segment_id or 0))
            if frames.extract_params(cursor, segment.id, segment.key) is None or segment.path is None:
                raise NotNowError("not wanted, or not here")
        rows = self.world.frames(str(job.video_id), segment.start_ms, segment.end_ms)
        made = {
            "shard": f"shards/{job.artifact}.tar",
            "sha256": key_of(s=job.segment_id),
            "size_bytes": 100 * len(rows),
        }
        rest = {"dropped_max_frames": 0, "is_truncated": False}
        return lambda cursor: frames.extracted(cursor, segment.id, rows, **made, **rest), ""

    def _filter(self, job: Job) -> tuple[Callable[[Cursor], None], str]:
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        with self.ledger.transaction() as cursor:
            own = frames.params(cursor, project_id, "filter")
            good = frames.good_frames(cursor, project_id, segment_id) if own.params["is_scored"] else []
        scores = [self.world.score(str(job.video_id), row.pts_ms, own.key) for row in good]

        def save(cursor: Cursor) -> None:
            frames.scored(cursor, project_id, segment_id, own.key, scores)
            verdicts.filtered(cursor, project_id, segment_id, own.key)

        return save, ""

    def _dedup(self, job: Job) -> tuple[Callable[[Cursor], None], str]:
        outcome = self._admitter.process(job, None, lambda moved: None)
        return lambda cursor: self._admitter.save(cursor, job, outcome), ""

    def _detect(self, job: Job) -> tuple[Callable[[Cursor], None], str]:
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        with self.ledger.transaction() as cursor:
            rows = frames.undetected(cursor, project_id, segment_id, job.key)
        boxes = {row.pts_ms: self.world.boxes(str(job.video_id), row.pts_ms, job.key) for row in rows}
        return lambda cursor: frames.detected(cursor, segment_id, job.key, boxes), ""


def _ignored(value: object) -> None:
    """Make a statement of an expression."""


def rows(ledger: Ledger, query: str, *values: Any) -> list[Any]:
    """Read rows."""
    with ledger.transaction() as cursor:
        return cursor.execute(query, values).fetchall()


def run_sql(ledger: Ledger, statement: str, *values: Any) -> int:
    """Change rows by hand; returns how many."""
    with ledger.transaction() as cursor:
        return cursor.execute(statement, values).rowcount


def state_of(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """All that a run leaves, by natural key: equal for equal results. No ids, times, attempts or artifact names."""
    with ledger.transaction() as cursor:
        cursor.row_factory = tuple_row
        return {
            name: sorted(map(tuple, cursor.execute(query).fetchall()), key=repr) for name, query in _NATURAL.items()
        }


_SEGMENT = """(SELECT s.id, f.video_id || '/' || f.key || '/' || s.key || '/' || s.start_ms AS name
    FROM segment s JOIN "fetch" f ON f.id = s.fetch_id)"""
_NATURAL = {
    "videos": """SELECT p.name, pv.video_id, pv.moved, pv.ordinal, pv.rank, pv.reason, pv.is_held, pv.is_cut
        FROM project_video pv JOIN project p ON p.id = pv.project_id""",
    "segments": f"""SELECT p.name, n.name, ps.moved, ps.ordinal, ps.rank, ps.filtered, ps.is_held, ps.is_decided
        FROM project_segment ps JOIN project p ON p.id = ps.project_id JOIN {_SEGMENT} n ON n.id = ps.segment_id""",
    "frames": f"""SELECT p.name, n.name, pf.pts_ms, pf.reason, pf.is_kept, r.name, pf.representative_pts_ms
        FROM project_frame pf JOIN project p ON p.id = pf.project_id JOIN {_SEGMENT} n ON n.id = pf.segment_id
        LEFT JOIN {_SEGMENT} r ON r.id = pf.representative_segment_id""",
    "boxes": f"""SELECT n.name, d.pts_ms, d.detector, d.ordinal, d.score
        FROM detection d JOIN {_SEGMENT} n ON n.id = d.segment_id""",
    "runs": f"""SELECT n.name, d.pts_ms, d.detector FROM detection_run d JOIN {_SEGMENT} n ON n.id = d.segment_id""",
    "jobs": f"""SELECT j.stage, j.state, j.key, j.reason, j.video_id, n.name, p.name FROM job j
        LEFT JOIN {_SEGMENT} n ON n.id = j.segment_id LEFT JOIN project p ON p.id = j.project_id""",
}


def kept(ledger: Ledger, project_id: int) -> list[tuple[str, int]]:
    """Frames that the ledger keeps, in data order."""
    found = rows(
        ledger,
        """SELECT ps.video_id, pf.pts_ms FROM project_frame pf JOIN project_segment ps USING (project_id, segment_id)
           WHERE project_id = %s AND is_kept
           ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms, pts_ms""",
        project_id,
    )
    return [(row.video_id, row.pts_ms) for row in found]


def check_kept(ledger: Ledger, world: World, project_id: int, **turned: Any) -> list[tuple[str, int]]:
    """All that is wanted is decided, and what is kept is what comparing one by one in data order keeps."""
    found = kept(ledger, project_id)
    assert found == brute_force(ledger, world, project_id, plan(**turned))
    assert not rows(ledger, "SELECT FROM project_segment WHERE NOT is_decided AND NOT is_held")
    return found


def brute_force(ledger: Ledger, world: World, project_id: int, own: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Frames that should be kept: the world's own numbers, compared one by one, in the order that the rows state."""
    segments = rows(
        ledger,
        """SELECT ps.video_id, s.start_ms, s.end_ms FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
           WHERE ps.project_id = %s AND NOT ps.is_held
           ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id COLLATE "C", ps.start_ms""",
        project_id,
    )
    radius, found, hashes = own["dedup"]["params"]["hash_distance"], list[tuple[str, int]](), list[int]()
    for segment in segments:
        for frame in world.frames(segment.video_id, segment.start_ms, segment.end_ms):
            if not passes(world, segment.video_id, frame, own):
                continue
            if radius is None or all((frame.phash ^ other).bit_count() > radius for other in hashes):
                hashes.append(frame.phash)
                found.append((segment.video_id, frame.pts_ms))
    return found


def passes(world: World, video_id: str, frame: FrameRow, own: Mapping[str, Any]) -> bool:
    """The filter's rule, written once more."""
    params, key = own["filter"]["params"], own["filter"]["key"]
    if frame.sharpness < params["min_sharpness"]:
        return False
    return (
        not params["is_scored"] or world.score(video_id, frame.pts_ms, key).positive > params["thresholds"]["positive"]
    )
