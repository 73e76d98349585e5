"""The supervisor's lease: one row with an epoch, by the database's clock."""

import uuid
from collections.abc import Mapping
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


def current(cursor: Cursor) -> Any:
    """Who holds the lease: holder, epoch, host, pid, pid_started, dashboard, is_living."""
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
