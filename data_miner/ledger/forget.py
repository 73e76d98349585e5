"""A takedown in the ledger: every row of some videos, in every project, and the refusal that stays.

Files are the caller's to delete, after the commit; `Holdings.files` and `made_by` say which they are.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_miner.ledger import order, successors, verdicts, words
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.records import VideoInfo

_ARTIFACT = re.compile(r"\w+/(\d{9,18})-\d+\.\w+")


@dataclass(frozen=True, slots=True)
class Order:
    """Who or what is to be forgotten."""

    videos: Sequence[str] = ()  # ids
    uploaders: Sequence[str] = ()  # the names that are one uploader's alone


@dataclass(frozen=True, slots=True)
class Earlier:
    """An order that was obeyed before, perhaps not to its end."""

    receipt: str
    videos: Sequence[str]
    uploaders: Sequence[str]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the ledger has of the videos."""

    videos: Sequence[str]  # ids of those that are known
    projects: Sequence[str]  # names of those that have one
    counts: dict[str, int] = field(default_factory=dict)  # rows by kind
    files: Sequence[Any] = ()  # key (or file:///…), sha256, size_bytes


def videos_of(cursor: Cursor, wanted: Order) -> list[str]:
    """Ids that an order is about: those it names, and those by its uploader."""
    found = cursor.execute(sql("forget", "videos_by"), {"who": list(wanted.uploaders)})
    return sorted({*wanted.videos, *(row.id for row in found)})


def earlier(cursor: Cursor, wanted: Order) -> list[Earlier]:
    """Orders that overlap with this one, by receipt."""
    rows = cursor.execute(sql("forget", "earlier"), _named(wanted.videos, wanted.uploaders))
    return [Earlier(row.receipt, row.video_ids or (), row.uploaders or ()) for row in rows]


def holdings(cursor: Cursor, video_ids: Sequence[str], uploaders: Sequence[str] = ()) -> Holdings:
    """Count what there is of these videos; changes nothing."""
    named = _named(video_ids, uploaders)
    known = [row.id for row in cursor.execute(sql("forget", "known"), named)]
    names = [row.name for row in cursor.execute(sql("forget", "projects"), named)]
    counts: Any = cursor.execute(sql("forget", "counts"), named).fetchone()
    files = cursor.execute(sql("forget", "files"), named).fetchall()
    return Holdings(known, names, dict(counts._asdict()), files)


def take_turns(cursor: Cursor, video_ids: Sequence[str]) -> None:
    """Lock all that `forget` changes, and end what is under way: nothing of these videos can be committed any more."""
    named = _named(video_ids, ())
    cursor.execute(sql("forget", "mark"))
    while True:
        project_ids = _projects(cursor, named)
        cursor.execute(sql("forget", "lock_videos"), {**named, "project_ids": project_ids})
        if _projects(cursor, named) == project_ids:
            break
        # Another project has found one meanwhile. Its videos must be locked too, and all in one order.
        cursor.execute(sql("forget", "go_back"))
    cursor.execute(sql("forget", "end_jobs"), named)
    order.take_turns(cursor, project_ids)


def forget(cursor: Cursor, video_ids: Sequence[str], uploaders: Sequence[str], receipt: str) -> None:
    """Take these videos out of everything and refuse them, and all of the uploader's, for ever. Needs the turns.

    Safe beside living workers: what they have in hand of it has lost its lease. May be run twice.
    """
    named = {**_named(video_ids, uploaders), "receipt": receipt}
    project_ids = _projects(cursor, named)
    _withdraw(cursor, project_ids, named)
    for name in ("drop_events", "drop_embeddings", "drop_frames", "empty_segments", "empty_fetches", "empty_videos"):
        cursor.execute(sql("forget", name), named)
    cursor.execute(sql("forget", "refuse"), named)
    for project_id in project_ids:
        successors.derive(cursor, project_id)


def is_refused(cursor: Cursor, info: VideoInfo, *other_ids: str) -> bool:
    """Was this video, or its uploader, forgotten? To be asked once a page is read, before any bytes.

    `other_ids`: what the page turned out to be, where it was listed under another id.
    """
    named = _named([info.id, *other_ids], words.names_of(info))
    return cursor.execute(sql("forget", "refused"), named).rowcount > 0


def made_by(cursor: Cursor, video_ids: Sequence[str], keys: Iterable[str]) -> list[str]:
    """Those of the artifact keys that jobs on these videos made, also ones that no row ever named."""
    ids = {row.id for row in cursor.execute(sql("forget", "jobs"), _named(video_ids, ()))}
    found = ((key, _ARTIFACT.fullmatch(key)) for key in keys)
    return [key for key, match in found if match is not None and int(match[1]) in ids]


def job_ids(cursor: Cursor, video_ids: Sequence[str]) -> list[int]:
    """Ids of all jobs on these videos: they name scratch folders."""
    return [row.id for row in cursor.execute(sql("forget", "jobs"), _named(video_ids, ()))]


def _withdraw(cursor: Cursor, project_ids: Sequence[int], named: dict[str, Any]) -> None:
    """Out of every project's order; what was dropped for looking like them may come back."""
    for project_id in project_ids:
        verdicts.withdraw(cursor, project_id, named["video_ids"])
    for name in ("drop_rejections", "drop_labels", "drop_videos"):
        cursor.execute(sql("forget", name), named)


def _projects(cursor: Cursor, named: dict[str, Any]) -> list[int]:
    return [row.id for row in cursor.execute(sql("forget", "projects"), named)]


def _named(video_ids: Sequence[str], uploaders: Sequence[str]) -> dict[str, Any]:
    return {"video_ids": list(video_ids), "who": list(uploaders)}
