"""Jobs as a person looks at them: a list, counts by reason, one with its history. Reads only."""

from dataclasses import asdict, dataclass
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


@dataclass(frozen=True, slots=True)
class Choice:
    """Which jobs are meant; None: any."""

    project_id: int | None = None
    state: str | None = None
    stage: str | None = None
    reason: str | None = None


def jobs(cursor: Cursor, choice: Choice, limit: int) -> list[Any]:
    """The jobs that changed last, newest first."""
    return cursor.execute(sql("listing", "jobs"), {**asdict(choice), "limit": limit}).fetchall()


def counts(cursor: Cursor, choice: Choice) -> list[Any]:
    """Jobs by stage, state and reason, most first, each with the id of an example."""
    return cursor.execute(sql("listing", "counts"), asdict(choice)).fetchall()


def job(cursor: Cursor, job_id: int) -> tuple[Any, list[Any]] | None:
    """One job with what it is about, and its events in order; None when there is no such job."""
    row = cursor.execute(sql("listing", "job"), {"id": job_id}).fetchone()
    if row is None:
        return None
    return row, cursor.execute(sql("listing", "events"), {"id": job_id}).fetchall()
