"""The supervisor's lease, one row with an epoch, by the database's clock; what it decided, and a person's bounds."""

import uuid
from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


def current(cursor: Cursor) -> Any:
    """Who holds the lease: holder, epoch, host, pid, pid_started, dashboard, scaling, is_living."""
    return cursor.execute(sql("projects", "supervisor")).fetchone()


def take(
    cursor: Cursor,
    holder: uuid.UUID,
    process: Mapping[str, Any],
    dashboard: str | None,
    lease_s: float,
    dead: uuid.UUID | None = None,
) -> int | None:
    """Take or renew the lease; returns its epoch, None when another lives. `dead`: a holder proven dead."""
    row = cursor.execute(
        sql("projects", "supervise"),
        {"holder": holder, "dashboard": dashboard, "lease_s": lease_s, "dead": dead, **process},
    ).fetchone()
    return None if row is None else int(row.epoch)


def resign(cursor: Cursor, holder: uuid.UUID) -> None:
    """Give the lease up, so that the next need not wait for it."""
    cursor.execute(sql("projects", "resign"), {"holder": holder})


def set_scaling(cursor: Cursor, holder: uuid.UUID, scaling: Mapping[str, Any]) -> None:
    """Keep the last snapshot and decision, for `status --scaling`; only the holder's."""
    cursor.execute(sql("projects", "set_scaling"), {"holder": holder, "scaling": Jsonb(scaling)})


def bounds(cursor: Cursor) -> dict[str, tuple[int, int]]:
    """How many actors a person wants at least and at most, by stage; a stage without is as the backlog asks."""
    return {row.stage: (row.least, row.most) for row in cursor.execute(sql("projects", "bounds"))}


def set_bound(cursor: Cursor, stage: str, least: int, most: int) -> None:
    """Have at least and at most so many actors of a stage, over all its models."""
    cursor.execute(sql("projects", "set_bound"), {"stage": stage, "least": least, "most": most})


def drop_bound(cursor: Cursor, stage: str) -> None:
    """Let the backlog say how many again."""
    cursor.execute(sql("projects", "drop_bound"), {"stage": stage})
