"""Frames of a project, chosen and sorted by SQL and given one by one: a hundred thousand need no room here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from data_miner.ledger.connection import Ledger
from data_miner.ledger.queries import sql

STAGES = ("extract", "filter", "dedup", "detect")
REASONS = {  # stage -> why it drops a frame
    "filter": (
        *("too_small", "too_dark", "too_bright", "flat", "too_blurry"),
        *("no_match", "negative", "junk", "thin_margin", "rejected"),
    ),
    "dedup": ("duplicate", "similar", "known", "rejected"),
    "detect": ("no_detection",),
}
SORTS = ("name", "time", "score", "sharpness", "brightness", "failed")
_AT_ONCE = 1000  # rows that lie here while they are worked on
_SLOWEST_READER_S = 3600  # `| less`, or a slow disk: how long the server waits between two portions


@dataclass(frozen=True, slots=True)
class Choice:
    """Which frames are meant. stage: mined, extract (all), or the one that dropped them."""

    stage: str = "mined"
    reason: str | None = None
    videos: list[str] | None = None
    label: str | None = None  # with a box of this class
    min_score: float | None = None
    sort: str = "name"
    limit: int | None = None


@contextmanager
def frames(ledger: Ledger, project_id: int, choice: Choice) -> Iterator[Iterator[Any]]:
    """Give the rows of sql/browse.sql, in their order, through a cursor on the server.

    `score` is the best box's with a label or without a text filter, else the image-text score.
    """
    with ledger.transaction(statement_timeout_s=600) as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        wait = f"{_SLOWEST_READER_S}s"
        cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [wait])
        with cursor.connection.cursor("frames") as rows:
            rows.itersize = _AT_ONCE
            rows.execute(sql("browse", "frames"), {"project_id": project_id, **asdict(choice)})
            yield iter(rows)
