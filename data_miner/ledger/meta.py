"""Facts about the ledger itself: the id of the store its artifacts lie in, the server's version and size."""

from dataclasses import dataclass
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

_STORE = "store_id"


@dataclass(frozen=True, slots=True)
class Server:
    """The database server as it describes itself."""

    version: str
    size_bytes: int  # of this database


def store_id(cursor: Cursor) -> str | None:
    """The id of the store this ledger belongs to, None before the first run."""
    row = cursor.execute(sql("meta", "get"), {"key": _STORE}).fetchone()
    return str(row.value) if row is not None else None


def keep_store_id(cursor: Cursor, found: str) -> str:
    """Bind the ledger to a store unless it is bound; returns the id it is bound to."""
    cursor.execute(sql("meta", "set_once"), {"key": _STORE, "value": found})
    return store_id(cursor) or found


def server(cursor: Cursor) -> Server:
    """Ask the server for its version and this database's size."""
    row: Any = cursor.execute(sql("meta", "server")).fetchone()
    return Server(str(row.version).split(" ")[0], int(row.size_bytes))
