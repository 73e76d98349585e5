"""What a name means to the ledger, and all it knows of a video or a picture. Reads only; names are split in `names`."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.names import Reading, clean, picture_of, readings
from data_miner.ledger.queries import sql


@dataclass(frozen=True, slots=True)
class Named:
    """A video, or a moment of one, that a name means."""

    video_id: str
    pts_ms: int | None = None  # a picture's own time; it need not have been sampled
    second: int | None = None  # the second at which an address opens the video


@dataclass(frozen=True, slots=True)
class Times:
    """Sampled times around a moment, in ms."""

    within: list[int]
    before: int | None
    after: int | None


def resolve(cursor: Cursor, text: str) -> list[Named]:
    """Find what a person means: an image's file name or path, a video's id with or without extractor, its URL in
    any common form and with a time, or a local file's path or name. Several where a bare id is of several videos.
    """
    for reading in readings(text):
        found = list(dict.fromkeys(_videos(cursor, reading)))
        if found:
            return [Named(video_id, reading.pts_ms, reading.second) for video_id in found]
    return []


def nearest(cursor: Cursor, text: str) -> str | None:
    """The id of a known video that looks most like an unknown name; None when none does."""
    name = Path(clean(text)).name
    native = (picture_of(name) or (name, 0))[0].partition("_" if ":" not in name else ":")[2] or name
    rows = cursor.execute(sql("lookup", "alike"), {"native": native}).fetchall()
    by_native = {row.id.partition(":")[2]: row.id for row in rows}
    near = difflib.get_close_matches(native, by_native, 1, 0.7)
    return by_native[near[0]] if near else None


def video(cursor: Cursor, video_id: str) -> Any:
    """The video's row, with `forgotten_at` and `receipt` where it was withdrawn."""
    return cursor.execute(sql("lookup", "video"), {"video_id": video_id}).fetchone()


def found_by(cursor: Cursor, video_id: str, project_id: int | None) -> list[Any]:
    """The sources that brought the video, with its rank in each, by project and in their order."""
    return _rows(cursor, "found_by", video_id=video_id, project_id=project_id)


def files(cursor: Cursor, video_id: str, project_id: int | None) -> list[Any]:
    """What was fetched of the video."""
    return _rows(cursor, "files", video_id=video_id, project_id=project_id)


def projects_of_video(cursor: Cursor, video_id: str, project_id: int | None) -> list[Any]:
    """The projects that have the video, and what they hold of it."""
    return _rows(cursor, "projects_of_video", video_id=video_id, project_id=project_id)


def jobs_of_video(cursor: Cursor, video_id: str, project_id: int) -> list[Any]:
    """The video's jobs in a project by stage, state and reason, shared ones too."""
    return _rows(cursor, "jobs_of_video", video_id=video_id, project_id=project_id)


def funnel_of_video(cursor: Cursor, video_id: str, project_id: int) -> Any:
    """Frames of the video in a project: extracted, good, passed, unique_frames, with_boxes."""
    return _rows(cursor, "funnel_of_video", video_id=video_id, project_id=project_id)[0]


def drops_of_video(cursor: Cursor, video_id: str, project_id: int) -> dict[str, int]:
    """Dropped frames of the video in a project by reason, most first."""
    return {row.reason: row.n for row in _rows(cursor, "drops_of_video", video_id=video_id, project_id=project_id)}


def times(cursor: Cursor, video_id: str, project_id: int | None, from_ms: int, to_ms: int) -> Times:
    """Sampled times of the video (of a project's, None: of any) within [from_ms, to_ms] and next to it."""
    named = {"video_id": video_id, "project_id": project_id, "from_ms": from_ms, "to_ms": to_ms}
    row = _rows(cursor, "times", **named)[0]
    return Times(row.within, row.before, row.after)


def picture(cursor: Cursor, video_id: str, pts_ms: int, project_id: int | None) -> list[Any]:
    """What each project holds of a picture, one row each; one without a project when none has it any more."""
    rows = _rows(cursor, "picture", video_id=video_id, pts_ms=pts_ms, project_id=project_id)
    own = {row.project_id: row for row in reversed(rows) if row.project_id is not None}
    # Two segments of a slow video may own one picture: the first of them counts, as in a dataset.
    return list(reversed(own.values())) or rows[:1]


def stands_for(cursor: Cursor, row: Any) -> list[Any]:
    """How many frames were dropped for a kept picture, by video; `row` is one of `picture`."""
    named = {"project_id": row.project_id, "segment_id": row.segment_id, "pts_ms": row.pts_ms}
    return _rows(cursor, "stands_for", **named)


def boxes(cursor: Cursor, row: Any) -> list[Any]:
    """The boxes that stand on a picture, best first; `row` is one of `picture`."""
    named = {"project_id": row.project_id, "segment_id": row.segment_id, "pts_ms": row.pts_ms}
    return _rows(cursor, "boxes", **named)


def _videos(cursor: Cursor, reading: Reading) -> Iterator[str]:
    """Ids of known videos that a reading leads to."""
    asked: list[tuple[str, dict[str, Any]]] = []
    if reading.ids:
        asked.append(("by_id", {"ids": list(reading.ids)}))
    if reading.urls:
        asked.append(("by_url", {"urls": [*reading.urls, *map(_absolute, reading.urls)]}))
    if reading.native is not None:
        asked.append(("by_native", {"native": reading.native}))
    if reading.digest is not None:
        asked.append(("by_digest", {"digest": reading.digest}))
    if reading.base_name:
        asked.append(("by_base_name", {"base_name": reading.base_name}))
    for name, named in asked:
        yield from (row.id for row in cursor.execute(sql("lookup", name), named))


def _absolute(text: str) -> str:
    return text if "://" in text else str(Path(text).expanduser().absolute())


def _rows(cursor: Cursor, name: str, **named: Any) -> list[Any]:
    return cursor.execute(sql("lookup", name), named).fetchall()
