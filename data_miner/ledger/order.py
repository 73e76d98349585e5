"""The data order of a project: who is held, who is moved to the end, where dedup may go on."""

from collections.abc import Sequence

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


def hold(cursor: Cursor, *job_ids: int) -> None:
    """Sources, videos or segments of these dead or blocked jobs hold nobody up any more."""
    cursor.execute(sql("order", "hold"), {"job_ids": list(job_ids)})


def hold_blocked(cursor: Cursor, site: str) -> None:
    """Hold everything that waits for a shut site."""
    hold(cursor, *_blocked(cursor, site))


def unhold(cursor: Cursor, job_ids: Sequence[int]) -> None:
    """What was held comes back, at the end of the order; the move is recorded."""
    if job_ids:
        cursor.execute(sql("order", "unhold"), {"job_ids": list(job_ids)})


def unhold_blocked(cursor: Cursor, site: str) -> None:
    """Everything that waited for a site comes back."""
    unhold(cursor, _blocked(cursor, site))


def is_next(cursor: Cursor, project_id: int, segment_id: int) -> bool:
    """Is every segment before this one decided?"""
    found = cursor.execute(
        sql("order", "undecided_before"), {"project_id": project_id, "segment_id": segment_id}
    )
    return found.rowcount == 0


def redecide(cursor: Cursor, project_id: int, segment_ids: Sequence[int]) -> None:
    """Let dedup speak again from the first of these segments on."""
    if segment_ids:
        cursor.execute(
            sql("order", "redecide"), {"project_id": project_id, "segment_ids": list(segment_ids)}
        )


def _blocked(cursor: Cursor, site: str) -> list[int]:
    return [row.id for row in cursor.execute(sql("order", "blocked_jobs"), {"name": site}).fetchall()]
