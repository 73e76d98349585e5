"""A person's word on a project: pictures, videos and uploaders never wanted again, and boxes that no model overwrites.

Rows in, rows out. What follows from them for frames and videos is derived by `successors.words_changed`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.ledger import order, successors
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.records import VideoInfo

Moment = tuple[str, int]  # (video id, pts_ms): the name of a picture that outlives its segment
ShareBox = tuple[str, float, float, float, float]  # class, x1, y1, x2, y2 as shares of width and height


@dataclass(frozen=True, slots=True)
class Meant:
    """What a person named."""

    pictures: Sequence[Moment] = ()
    videos: Sequence[str] = ()  # ids; one may be of a video that no search has found yet
    uploaders: Sequence[str] = ()  # names, handles or channel ids


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the project, with the boxes that stand on it or would if it were kept."""

    moment: Moment
    width: int  # px
    height: int
    is_human: bool  # a person has spoken on it
    is_rejected: bool
    boxes: Sequence[ShareBox]


def take_turn(cursor: Cursor, project_id: int) -> None:
    """Lock what a changed word may change: the project's videos, then its turn."""
    cursor.execute(sql("projects", "lock_videos"), {"project_id": project_id})
    order.take_turns(cursor, [project_id])


def reject(cursor: Cursor, project_id: int, meant: Meant) -> int:
    """Never want these again; returns how many are news. Needs the turn."""
    return _change(cursor, "reject", project_id, meant)


def take_back(cursor: Cursor, project_id: int, meant: Meant) -> int:
    """Undo rejections; returns how many there were. Needs the turn."""
    return _change(cursor, "take_back", project_id, meant)


def sampled(cursor: Cursor, project_id: int, moments: Sequence[Moment]) -> set[Moment]:
    """Those of the moments at which a picture was ever taken, or rejected in this project."""
    rows = cursor.execute(sql("words", "pictures_there"), {"project_id": project_id, **_named(moments)})
    return {(row.video_id, row.pts_ms) for row in rows}


def rejecting(cursor: Cursor, info: VideoInfo, *other_ids: str) -> set[int]:
    """Projects in which a person rejected this video or its uploader: known in full once its page is read."""
    named = {"video_ids": [info.id, *other_ids], "who": names_of(info)}
    return {row.project_id for row in cursor.execute(sql("words", "rejecting"), named)}


def names_of(info: VideoInfo) -> list[str]:
    """All that an uploader is called: what the function is_by compares."""
    names = (info.uploader_id, info.uploader, info.channel, info.extra.get("channel_id"))
    return [str(name) for name in names if name]


def uploaders_called(cursor: Cursor, who: str) -> list[Any]:
    """Who is called so, most videos first: uploader, uploader_id, channel, channel_id, videos."""
    return cursor.execute(sql("words", "uploaders_called"), {"who": who}).fetchall()


def uploader_names(cursor: Cursor) -> list[str]:
    """Names of uploaders there are, for hints."""
    return [row.name for row in cursor.execute(sql("words", "uploader_names"))]


def videos_of(cursor: Cursor, project_id: int) -> list[str]:
    """Ids of a project's videos."""
    return [row.video_id for row in cursor.execute(sql("words", "videos_of_project"), {"project_id": project_id})]


def pictures(cursor: Cursor, project_id: int, moments: Sequence[Moment]) -> dict[Moment, Picture]:
    """Those of the moments of which the project has a picture, with what stands on it: a person's boxes, else the
    machine's under the project's present rules.
    """
    rows = cursor.execute(sql("words", "frames_there"), {"project_id": project_id, **_named(moments)}).fetchall()
    human = [(row.video_id, row.pts_ms) for row in rows if row.is_human]
    drawn = _human_boxes(cursor, project_id, human)
    found = _machine_boxes(cursor, project_id, {(row.segment_id, row.pts_ms): row for row in rows if not row.is_human})
    pictures = {}
    for row in rows:
        moment = (row.video_id, row.pts_ms)
        boxes = drawn.get(moment, ()) if row.is_human else found.get((row.segment_id, row.pts_ms), ())
        pictures[moment] = Picture(moment, row.width, row.height, row.is_human, row.is_rejected, boxes)
    return pictures


def put_labels(cursor: Cursor, project_id: int, labels: Mapping[Moment, Sequence[ShareBox]]) -> None:
    """Let a person's boxes stand on these pictures, in place of all others. Needs the turn."""
    named = {"project_id": project_id, **_named(list(labels))}
    cursor.execute(sql("words", "clear_labels"), named)
    cursor.execute(sql("words", "add_labels"), named)
    with cursor.copy(sql("words", "copy_boxes")) as copy:
        for moment, boxes in labels.items():
            for ordinal, box in enumerate(boxes):
                copy.write_row((project_id, *moment, ordinal, *box))


def apply(cursor: Cursor, project_id: int) -> None:
    """Derive what the changed words mean. Needs the turn."""
    successors.words_changed(cursor, project_id)


def _change(cursor: Cursor, verb: str, project_id: int, meant: Meant) -> int:
    of_pictures = {"project_id": project_id, **_named(meant.pictures)}
    named = {"project_id": project_id, "video_ids": list(meant.videos), "uploaders": list(meant.uploaders)}
    changed = cursor.execute(sql("words", f"{verb}_pictures"), of_pictures).rowcount
    changed += cursor.execute(sql("words", f"{verb}_videos"), named).rowcount
    return changed + cursor.execute(sql("words", f"{verb}_uploaders"), named).rowcount


def _human_boxes(cursor: Cursor, project_id: int, moments: Sequence[Moment]) -> dict[Moment, list[ShareBox]]:
    found: dict[Moment, list[ShareBox]] = {}
    for row in cursor.execute(sql("words", "human_boxes"), {"project_id": project_id, **_named(moments)}):
        found.setdefault((row.video_id, row.pts_ms), []).append((row.label, row.x1, row.y1, row.x2, row.y2))
    return found


def _machine_boxes(
    cursor: Cursor, project_id: int, frames: Mapping[tuple[int, int], Any]
) -> dict[tuple[int, int], list[ShareBox]]:
    named = {
        "project_id": project_id,
        "segment_ids": [segment_id for segment_id, _ in frames],
        "pts_ms": [pts_ms for _, pts_ms in frames],
    }
    found: dict[tuple[int, int], list[ShareBox]] = {}
    for row in cursor.execute(sql("words", "machine_boxes"), named):
        place = (row.segment_id, row.pts_ms)
        width, height = frames[place].width, frames[place].height
        x1, x2, y1, y2 = *_shares(row.x1, row.x2, width), *_shares(row.y1, row.y2, height)
        if x2 > x1 and y2 > y1:  # as a dataset has it: cut at the edges
            found.setdefault(place, []).append((row.label, x1, y1, x2, y2))
    return found


def _shares(first: float, last: float, length: int) -> tuple[float, float]:
    return max(0.0, first / length), min(1.0, last / length)


def _named(moments: Iterable[Moment]) -> dict[str, list[Any]]:
    pairs = list(moments)
    return {"video_ids": [video_id for video_id, _ in pairs], "pts_ms": [pts_ms for _, pts_ms in pairs]}
