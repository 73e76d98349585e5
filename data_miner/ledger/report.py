"""What a report shows of a project: counts by score, few frames of many, what was dropped and by how much.

Reads only. How it looks is `data_miner.report`'s; counts that `status` shows too are in `status`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

Key = tuple[int, int]  # segment_id, pts_ms
QUALITY = ("sharpness", "contrast", "darkest", "brightest")
DEDUP_REASONS = ("duplicate", "similar", "known")


@dataclass(frozen=True, slots=True)
class Scope:
    """The project that is read, and the thresholds it is judged by."""

    project_id: int
    filter_key: str | None  # None: not filtered by a model
    detect_key: str | None
    marks: Mapping[str, float]  # min_side sharpness contrast darkest brightest positive … junk_margin conf

    def named(self, **more: Any) -> dict[str, Any]:
        """Parameters of the queries."""
        keys = {"project_id": self.project_id, "filter_key": self.filter_key, "detect_key": self.detect_key}
        return {**keys, **self.marks, **more}


@dataclass(frozen=True, slots=True)
class Bin:
    """Frames whose score lies in one bin."""

    number: int  # 0: below the first edge
    frames: int
    passing: int  # of them, those that stand every other threshold
    examples: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A kept frame and what it stands for."""

    representative: Key
    members: int
    videos: int
    examples: tuple[Key, ...]


def begin(cursor: Cursor) -> None:
    """Read everything that follows in one snapshot; first statement of the transaction."""
    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def ranges(cursor: Cursor, scope: Scope) -> Any:
    """`frames`, and `<score>_low` and `<score>_high` of each score (None: nobody has it)."""
    return cursor.execute(sql("report", "ranges"), scope.named()).fetchone()


def histogram(
    cursor: Cursor, scope: Scope, score: str, edges: Sequence[float], owns_upper: bool, few: int
) -> list[Bin]:
    """Frames by score between ascending `edges`, with some of each bin; empty bins are left out.

    A bin holds its lower edge, or its upper one (`owns_upper`): "above .3" and "at least .3" both end at an edge.
    """
    sign = -1 if owns_upper else 1
    turned = sorted(sign * edge for edge in edges)
    named = scope.named(score=score, sign=sign, edges=turned, few=few, is_quality=score in QUALITY)
    query = sql("report", "confidences" if score == "conf" else "histogram")
    bins = [_bin(row, len(edges), owns_upper) for row in cursor.execute(query, named)]
    return sorted(bins, key=lambda found: found.number)


def by_hand(cursor: Cursor, scope: Scope) -> tuple[int, int]:
    """Frames that pass by a person's word alone, and those of them with a box."""
    row = cursor.execute(sql("report", "by_hand"), scope.named()).fetchone()
    return (row.frames, row.with_boxes) if row is not None else (0, 0)


def dropped(cursor: Cursor, scope: Scope, stage: str, reason: str, limit: int) -> list[tuple[Key, float | None]]:
    """Frames that a stage dropped, least distance to the failed threshold first; the distance.

    Of dedup the distance is in bits of the hash, the most first: those are nearest to being kept.
    """
    name = {"filter": "dropped", "dedup": "repeated", "detect": "undetected"}[stage]
    rows = cursor.execute(sql("report", name), scope.named(reason=reason, limit=limit))
    return [((row.segment_id, row.pts_ms), row.distance) for row in rows]


def mined(cursor: Cursor, scope: Scope, limit: int) -> list[Key]:
    """Frames with a box that stands, without a detector kept ones; which of many a hash says."""
    name = "framed" if scope.detect_key is not None else "kept"
    rows = cursor.execute(sql("report", name), scope.named(limit=limit))
    return [(row.segment_id, row.pts_ms) for row in rows]


def groups(cursor: Cursor, scope: Scope, limit: int, few: int) -> list[Group]:
    """The largest groups of frames that are alike."""
    rows = cursor.execute(sql("report", "groups"), scope.named(limit=limit, few=few))
    return [
        Group(
            (row.segment_id, row.pts_ms),
            row.members,
            row.videos,
            tuple(zip(row.segment_ids, row.member_pts_ms, strict=True)),
        )
        for row in rows
    ]


def pictures(cursor: Cursor, scope: Scope, keys: Sequence[Key]) -> dict[Key, Any]:
    """Rows to show frames with, by key; what a person rejected or an owner withdrew is missing."""
    rows = cursor.execute(sql("report", "pictures"), scope.named(**_arrays(keys)))
    return {(row.segment_id, row.pts_ms): row for row in rows}


def boxes(cursor: Cursor, scope: Scope, keys: Sequence[Key]) -> dict[Key, list[Any]]:
    """Boxes that stand, by key."""
    return _by_key(cursor.execute(sql("report", "boxes"), scope.named(**_arrays(keys))))


def doubts(cursor: Cursor, scope: Scope, keys: Sequence[Key]) -> dict[Key, list[Any]]:
    """The three best stored boxes of frames on which none stands, by key."""
    return _by_key(cursor.execute(sql("report", "doubts"), scope.named(**_arrays(keys))))


def yields(cursor: Cursor, scope: Scope) -> list[Any]:
    """Images by source, best first: kind, locator, videos, skipped, useful (videos with an image), images."""
    return cursor.execute(sql("report", "yields"), scope.named()).fetchall()


def skipped(cursor: Cursor, scope: Scope, limit: int) -> list[Any]:
    """Videos that were not mined, at most `limit` of a reason: reason, id, url, title."""
    return cursor.execute(sql("report", "skipped"), scope.named(limit=limit)).fetchall()


def dead(cursor: Cursor, scope: Scope, limit: int) -> list[Any]:
    """Videos with a dead job, at most `limit` of a stage and reason: stage, reason, id, url, title."""
    return cursor.execute(sql("report", "dead"), scope.named(limit=limit)).fetchall()


def site_videos(cursor: Cursor, scope: Scope) -> list[Any]:
    """Videos by site, None for the local disk: name, videos, skipped."""
    return cursor.execute(sql("report", "site_videos"), scope.named()).fetchall()


def _bin(row: Any, edges: int, owns_upper: bool) -> Bin:
    examples = tuple(zip(row.segment_ids or (), row.pts_ms or (), strict=True))
    return Bin(edges - row.bin if owns_upper else row.bin, row.frames, row.passing, examples)


def _by_key(rows: Iterable[Any]) -> dict[Key, list[Any]]:
    found: dict[Key, list[Any]] = {}
    for row in rows:
        found.setdefault((row.segment_id, row.pts_ms), []).append(row)
    return found


def _arrays(keys: Sequence[Key]) -> dict[str, list[int]]:
    return {"segment_ids": [segment for segment, _ in keys], "pts_ms": [pts_ms for _, pts_ms in keys]}
