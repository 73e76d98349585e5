"""All that is known of a video or a picture, as JSON-able values. `telling` makes lines of them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from data_miner.cli.framing import missed
from data_miner.config.project import restore
from data_miner.config.settings import Settings
from data_miner.export.manifest import url_at
from data_miner.export.names import image_name
from data_miner.ledger import lookup
from data_miner.ledger.connection import Cursor
from data_miner.records import VideoInfo

_VERSION = re.compile(r"v[1-9]\d*")
_NOT_GIVEN = ("gone", "private", "members_only", "geo", "age")  # the site's word, not ours
_LISTS = ("positive", "negative", "junk")


def facts_of_video(cursor: Cursor, video_id: str, project_id: int | None, settings: Settings) -> dict[str, Any]:
    """A video: where it is from, what was fetched, and how it fares in each project."""
    row = lookup.video(cursor, video_id)
    rows = lookup.projects_of_video(cursor, video_id, project_id)
    return {
        **_video(cursor, row, None, project_id),
        "files": [file._asdict() for file in lookup.files(cursor, video_id, project_id)],
        "projects": [_in_project(cursor, video_id, own) for own in rows],
    }


def facts_of_picture(
    cursor: Cursor, video_id: str, pts_ms: int, project_id: int | None, settings: Settings
) -> dict[str, Any]:
    """A picture: its video, its numbers, and what each project made of it."""
    rows = lookup.picture(cursor, video_id, pts_ms, project_id)
    first = rows[0]
    return {
        "name": image_name(video_id, pts_ms),
        "pts_ms": pts_ms,
        **_video(cursor, lookup.video(cursor, video_id), pts_ms, project_id),
        **{key: getattr(first, key) for key in ("width", "height", "sharpness", "brightness", "contrast")},
        "is_collected": first.shard is None,
        "projects": [_verdicts(cursor, row, video_id, settings) for row in rows if row.project_id is not None],
    }


def _video(cursor: Cursor, row: Any, pts_ms: int | None, project_id: int | None) -> dict[str, Any]:
    info = VideoInfo(row.id, row.url, row.site)
    names = ("title", "uploader", "channel", "license", "upload_date", "duration_s", "skipped")
    found = lookup.found_by(cursor, row.id, project_id)
    return {
        "video": row.id,
        "url": row.url if pts_ms is None else url_at(info, pts_ms),
        **{name: getattr(row, name) for name in names},
        "found_by": [{key: getattr(one, key) for key in ("project", "kind", "locator", "rank")} for one in found],
        "forgotten_at": row.forgotten_at,
        "receipt": row.receipt,
    }


def _in_project(cursor: Cursor, video_id: str, own: Any) -> dict[str, Any]:
    jobs = lookup.jobs_of_video(cursor, video_id, own.id)
    frames = lookup.funnel_of_video(cursor, video_id, own.id)
    return {
        "project": own.name,
        "state": _state(own, jobs),
        "reason": own.reason or next((job.reason for job in jobs if job.state in ("dead", "blocked")), None),
        "split": own.split,
        "rejected_at": own.rejected_at,
        "rejected_uploader": own.rejected_uploader,
        "jobs": [job._asdict() for job in jobs],
        "frames": {key: getattr(frames, key) for key in ("extracted", "good", "passed")}
        | {"unique": frames.unique_frames, "with_boxes": frames.with_boxes},
        "dropped": lookup.drops_of_video(cursor, video_id, own.id),
    }


def _state(own: Any, jobs: Sequence[Any]) -> str:
    if own.reason is not None:
        return "skipped" if own.reason in _NOT_GIVEN else "dropped"
    states = [job.state for job in jobs]
    wanted = [stage for stage in own.plan.get("stages", ()) if stage != "expand"]
    for state in ("dead", "blocked", "running", "waiting"):
        if state in states:
            return state
    done = {stage: sum(job.n for job in jobs if job.stage == stage) for stage in wanted}
    if wanted and wanted[-1] == "detect":  # dedup makes its jobs, and none where there is nothing to look at
        return "mined" if done["dedup"] and done["dedup"] >= done["filter"] else "waiting"
    return "mined" if wanted and done[wanted[-1]] else "waiting"


def _verdicts(cursor: Cursor, row: Any, video_id: str, settings: Settings) -> dict[str, Any]:
    rule = restore(row.config, row.project).filter
    failure = missed(row, rule) if row.reason is not None else None
    by_video = {one.video_id: one.n for one in lookup.stands_for(cursor, row)} if row.is_kept else {}
    like = image_name(row.like_video, row.like_pts_ms) if row.like_video is not None else None
    boxes = [box._asdict() for box in lookup.boxes(cursor, row)]
    return {
        "project": row.project,
        "filter": {
            "verdict": row.reason or ("match" if rule.model else "good") if row.is_judged else None,
            "failed_by": failure[0] if failure else None,
            "distance": failure[1] if failure else None,
            **{key: getattr(row, key) for kind in _LISTS for key in (kind, f"{kind}_prompt")},
        },
        "dedup": {
            "video": video_id,
            "is_kept": row.is_kept,
            "reason": None if row.is_kept is not False else row.dedup_reason or "duplicate",
            "like": like,
            "like_bits": row.like_bits,
            "stands_for": by_video,
        },
        "is_detected": row.has_run,
        "boxes": [{**box, "model": box["model"] or (None if box["is_human"] else row.detector)} for box in boxes],
        "labelled_at": row.labelled_at,
        "rejected_at": row.rejected_at,
        "datasets": list(_datasets(settings, row.project, image_name(video_id, row.pts_ms))),
    }


def _datasets(settings: Settings, project: str, name: str) -> Iterator[str]:
    """`v3 val` for each version on this machine that holds the image."""
    folder = settings.datasets / project
    versions = [path.name for path in folder.glob("v*") if _VERSION.fullmatch(path.name)] if folder.is_dir() else []
    for version in sorted(versions, key=lambda one: int(one[1:])):
        for split in ("train", "val"):
            if (folder / version / "images" / split / name).is_file():
                yield f"{version} {split}"
