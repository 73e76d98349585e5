"""Verdicts of a project: which frames pass, which are kept. Derived rows, made by SQL of stored numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_miner.errors import NotNowError
from data_miner.ledger import order
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

_TOP_BIT, _ALL_BITS = 1 << 63, 1 << 64


class StaleIndexError(NotNowError):
    """Another admission came between: the index in memory is not the ledger's any more."""


@dataclass(frozen=True, slots=True)
class KeptFrames:
    """What an admitter compares with: kept frames in data order, and the version they were read at."""

    version: int
    segment_ids: NDArray[np.int64]  # (n,)
    pts_ms: NDArray[np.int64]  # (n,)
    phash: NDArray[np.uint64]  # (n,)


def signed(phash: int) -> int:
    """Write 64 unsigned bits as PostgreSQL's bigint."""
    return phash - _ALL_BITS if phash >= _TOP_BIT else phash


def judge_frames(cursor: Cursor, project_id: int, segment_id: int | None = None) -> int:
    """Set every frame's filter verdict by the project's present thresholds; returns segments re-decided.

    Where the set of passed frames changed behind dedup's back, dedup speaks again from that place on. Where a
    frame is good now and has no score yet, its segment is filtered once more (only that frame is embedded).
    """
    order.take_turns(cursor, [project_id])
    scope = {"project_id": project_id, "segment_id": segment_id}
    rows = cursor.execute(sql("verdicts", "judge_frames"), scope).fetchall()
    # What is decided has nothing unfiltered before it, so a segment to be scored again counts as changed.
    changed = [row.segment_id for row in rows]
    order.redecide(cursor, project_id, changed)
    unscored = [row.segment_id for row in rows if row.is_unscored]
    cursor.execute(sql("verdicts", "score_again"), {"project_id": project_id, "segment_ids": unscored})
    return len(changed)


def filtered(cursor: Cursor, project_id: int, segment_id: int, key: str) -> None:
    """A segment's scores are in: judge its frames."""
    order.take_turns(cursor, [project_id])  # the plan must not change between reading and writing
    named = {"project_id": project_id, "segment_id": segment_id, "key": key}
    cursor.execute(sql("verdicts", "set_filtered"), named)
    judge_frames(cursor, project_id, segment_id)


def withdraw(cursor: Cursor, project_id: int, video_ids: Sequence[str]) -> None:
    """Take videos out of a project's frames; dedup speaks again from the first of them on. Needs the turn."""
    rows = cursor.execute(
        sql("verdicts", "segments_of_videos"), {"project_id": project_id, "video_ids": list(video_ids)}
    ).fetchall()
    segment_ids = [row.segment_id for row in rows]
    order.redecide(cursor, project_id, segment_ids)
    named = {"project_id": project_id, "segment_ids": segment_ids, "video_ids": list(video_ids)}
    for name in ("forget_frames", "unlink_segments", "uncut"):
        cursor.execute(sql("verdicts", name), named)


def filter_all_again(cursor: Cursor, project_id: int) -> None:
    """Forget every verdict: model or prompts changed. Embeddings stay. Needs the turn."""
    order.redecide_all(cursor, project_id)
    for name in ("unfilter_all", "forget_all_frames"):
        cursor.execute(sql("verdicts", name), {"project_id": project_id})


def filter_again(cursor: Cursor, segment_id: int) -> None:
    """Forget every project's verdicts on one segment: its pictures are others now."""
    rows = cursor.execute(sql("verdicts", "projects_of_segment"), {"segment_id": segment_id}).fetchall()
    order.take_turns(cursor, [row.project_id for row in rows])
    for row in rows:
        order.redecide(cursor, row.project_id, [segment_id])
    cursor.execute(sql("verdicts", "unfilter"), {"segment_id": segment_id})


def kept_frames(cursor: Cursor, project_id: int) -> KeptFrames:
    """Read what is kept, in data order, with the version it is true at."""
    found = cursor.execute(sql("verdicts", "version"), {"project_id": project_id}).fetchone()
    version = int(found.dedup_version) if found is not None else 0  # first: what is newer shows itself as stale
    rows = cursor.execute(sql("verdicts", "kept_hashes"), {"project_id": project_id}).fetchall()
    return KeptFrames(
        version=version,
        segment_ids=np.array([row.segment_id for row in rows], np.int64),
        pts_ms=np.array([row.pts_ms for row in rows], np.int64),
        phash=np.array([row.phash for row in rows], np.int64).view(np.uint64),
    )


def passed_hashes(cursor: Cursor, project_id: int, segment_id: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Times and hashes of a segment's passed frames, in order of time."""
    rows = cursor.execute(
        sql("verdicts", "passed_hashes"), {"project_id": project_id, "segment_id": segment_id}
    ).fetchall()
    return (
        np.array([row.pts_ms for row in rows], np.int64),
        np.array([row.phash for row in rows], np.int64).view(np.uint64),
    )


def is_version(cursor: Cursor, project_id: int, version: int) -> bool:
    """Is an index that was read at this version still the ledger's?"""
    found = cursor.execute(sql("verdicts", "version"), {"project_id": project_id}).fetchone()
    return found is not None and bool(found.dedup_version == version)


def is_decided(cursor: Cursor, project_id: int, segment_id: int) -> bool:
    """Has dedup already spoken on this segment?"""
    named = {"project_id": project_id, "segment_id": segment_id}
    return cursor.execute(sql("verdicts", "is_decided"), named).rowcount == 1


def admit(
    cursor: Cursor,
    project_id: int,
    segment_id: int,
    version: int,
    frames: Sequence[tuple[int, int | None, int | None]],
) -> int:
    """Write dedup's verdicts on (pts_ms, representative segment, representative pts_ms); None: kept.

    Compares and sets the project's dedup version. Raises StaleIndexError when another admission came between,
    something before this segment is undecided, or other frames pass now. Returns the new version.
    """
    order.take_turns(cursor, [project_id])
    named = {"project_id": project_id, "segment_id": segment_id, "version": version}
    pts_ms = [pts_ms for pts_ms, _, _ in frames]
    turn = cursor.execute(sql("verdicts", "raise_version"), named).fetchone()
    is_current = cursor.execute(sql("verdicts", "is_admissible"), {**named, "pts_ms": sorted(pts_ms)}).rowcount == 1
    if turn is None or not is_current or not order.is_next(cursor, project_id, segment_id):
        raise StaleIndexError(f"project {project_id} was decided by another since version {version}")
    cursor.execute(
        sql("verdicts", "admit"),
        {
            **named,
            "pts_ms": pts_ms,
            "segments": [segment for _, segment, _ in frames],
            "representatives": [pts_ms for _, _, pts_ms in frames],
        },
    )
    cursor.execute(sql("verdicts", "set_decided"), named)
    return int(turn.dedup_version)
