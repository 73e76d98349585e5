"""Verdicts of a project: which frames pass. Derived rows, made by SQL of stored numbers and a person's word.

Which of the passed frames are kept is in `admission`.
"""

from collections.abc import Sequence

from data_miner.ledger import order
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

_TOP_BIT, _ALL_BITS = 1 << 63, 1 << 64


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
    if any(row.is_new_word for row in rows):
        order.redecide_all(cursor, project_id)  # it is compared with before all others, wherever it stands
    else:
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
    order.redecide_spoken_on(cursor, project_id, video_ids)
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
