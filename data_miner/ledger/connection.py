"""How the ledger is reached: short transactions on fresh connections, retries, and the supervisor's LISTEN.

No query lives here, and no connection outlives its `with` block: a thousand workers need tens of connections.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import namedtuple_row

from data_miner.errors import UnreachableError, UsageError

SCHEMA = "data_miner"
Cursor = psycopg.Cursor[Any]
T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# A cut network must not hold a worker for the kernel's two hours, nor a stopped worker its row locks.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_IDLE_IN_TRANSACTION_S = 120
# Cut, going down, not up yet, one client too many, a deadlock, a transaction that idled: better next time.
_PASSING_STATES = ("08", "57P0", "53300", "40001", "40P01", "25P03")


@dataclass(frozen=True, slots=True)
class Ledger:
    """A PostgreSQL ledger by its address: a URL, a conninfo string, or "" for libpq's own PG* variables.

    Holds no connection, so it is pickled to workers as it is.
    """

    dsn: str = field(repr=False)  # may carry a password

    @property
    def place(self) -> str:
        """Name the server for people: host, port and database, never the password."""
        known = {**_libpq_defaults(), **_parsed(self.dsn)}
        host = known.get("host") or known.get("hostaddr") or "local socket"
        return f"{host}:{known.get('port', '5432')}/{known.get('dbname') or known.get('user', '')}"

    def connect(self, *, autocommit: bool = False, statement_timeout_s: float = 60) -> psycopg.Connection[Any]:
        """Open one connection that the caller closes; raises UnreachableError when nobody answers."""
        return _connect(self, autocommit, statement_timeout_s)

    @contextmanager
    def transaction(self, *, statement_timeout_s: float = 60) -> Iterator[Cursor]:
        """Give a cursor (rows are named tuples) in one transaction on a fresh connection; commit at the end.

        A connection that breaks raises UnreachableError. If that happens in the commit itself, nobody knows
        whether it took place: read the rows back.
        """
        with (
            self._translated(),
            self.connect(statement_timeout_s=statement_timeout_s) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def with_retry(
        self,
        work: Callable[[Cursor], T],
        *,
        deadline_s: float | None = None,
        stop: threading.Event | None = None,
        statement_timeout_s: float = 60,
    ) -> T:
        """Run `work` in a transaction, again after an outage or a deadlock, until it commits.

        Gives up with the last UnreachableError after `deadline_s` (None: never) or when `stop` is set.
        `work` must bear being run twice: a commit that was cut may have taken place.
        """
        started, pause_s = time.monotonic(), _FIRST_PAUSE_S
        stop = stop or threading.Event()
        while True:
            try:
                with self.transaction(statement_timeout_s=statement_timeout_s) as cursor:
                    return work(cursor)
            except UnreachableError:
                spent_s = time.monotonic() - started
                if deadline_s is not None and spent_s + pause_s > deadline_s:
                    raise
                # Jitter, or a thousand workers come back in the same instant.
                if stop.wait(pause_s * random.uniform(0.5, 1.0)):
                    raise
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    @contextmanager
    def listen(self, channel: str) -> Iterator["Listener"]:
        """Listen on one channel; the only connection that may idle, and only the supervisor has it."""
        with self._translated(), self.connect(autocommit=True) as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            yield Listener(self, connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            if _passes(error):
                raise UnreachableError(f"database {self.place} broke off: {_one_line(error, self.dsn)}") from error
            raise


class Listener:
    """A connection that LISTENs."""

    def __init__(self, ledger: Ledger, connection: psycopg.Connection[Any]) -> None:
        self._ledger = ledger
        self._connection = connection

    def wait(self, timeout_s: float) -> list[str]:
        """Return the payloads that came within `timeout_s`, at once when the first is there; [] when none."""
        with self._ledger._translated():
            return [note.payload for note in self._connection.notifies(timeout=timeout_s, stop_after=1)]


def _connect(ledger: Ledger, autocommit: bool, statement_timeout_s: float) -> psycopg.Connection[Any]:
    given = _parsed(ledger.dsn)
    options = (
        f"{given.pop('options', os.environ.get('PGOPTIONS', ''))} -c search_path={SCHEMA} -c timezone=UTC"
        f" -c statement_timeout={int(statement_timeout_s * 1000)}"
        f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_S * 1000}"
    )
    own = {**_DEFAULTS, "application_name": f"data-miner/{os.getpid()}", **given, "options": options.strip()}
    try:
        return psycopg.connect(**own, autocommit=autocommit, row_factory=namedtuple_row, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise UnreachableError(
            f"database {ledger.place} does not answer: {_one_line(error, ledger.dsn)}; {_hint(str(error))}"
        ) from error


def _parsed(dsn: str) -> dict[str, Any]:
    try:
        return conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's own message may quote the password, so the cause is cut off too.
        raise UsageError("DATABASE_URL is no PostgreSQL address; write postgresql://USER@HOST:5432/DATABASE") from None


@cache
def _libpq_defaults() -> dict[str, str]:
    found = psycopg.pq.Conninfo.get_defaults()
    return {o.keyword.decode(): o.val.decode() for o in found if o.val and o.keyword != b"password"}


def _passes(error: psycopg.Error) -> bool:
    # No SQLSTATE at all means that libpq itself lost the server.
    return error.sqlstate is None or error.sqlstate.startswith(_PASSING_STATES)


def _one_line(error: BaseException, dsn: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    for secret in (_parsed(dsn).get("password"), os.environ.get("PGPASSWORD")):
        if secret:
            text = text.replace(str(secret), "***")
    return text


def _hint(message: str) -> str:
    if "password" in message or "authentication" in message or "role" in message:
        return "check user and password in DATABASE_URL"
    if "does not exist" in message:
        return "check the database name in DATABASE_URL, or create it with createdb"
    if "too many" in message or "remaining connection slots" in message:
        return "raise max_connections or run fewer workers"
    return "is it running? check DATABASE_URL, then `data-miner doctor`"
