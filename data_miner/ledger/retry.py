"""Dead jobs get another chance because a person says that the cause is gone."""

from collections import Counter

from data_miner.ledger import order, successors
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


def revive(
    cursor: Cursor, project_id: int, stage: str | None = None, reason: str | None = None
) -> dict[tuple[str, str], int]:
    """Let a project's dead jobs wait again, failures forgotten; returns how many by (stage, reason).

    Shared work counts as the project's own. What was held up comes back at the end of the data order. The
    videos' rows are locked first, as everywhere.
    """
    named = {"project_id": project_id, "stage": stage, "reason": reason}
    cursor.execute(sql("projects", "lock_videos"), named)
    rows = cursor.execute(sql("retry", "revive"), named).fetchall()
    if rows:
        order.take_all_turns(cursor)
        order.settle_holds(cursor)
        successors.derive(cursor, project_id)
    return dict(Counter((row.stage, row.reason) for row in rows))
