"""The bell: whoever ends a job rings it, and the one process that scales the pools listens."""

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

CHANNEL = "data_miner_work"


def ring(cursor: Cursor) -> None:
    """Say, once this transaction commits, that there may be work."""
    cursor.execute(sql("bell", "ring"), {"channel": CHANNEL})
