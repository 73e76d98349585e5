"""Ledgers that keep their connections: thousands of short transactions, at a third of the time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from data_miner.ledger.connection import Cursor, Ledger
from tests.support.postgres import Server


class WarmLedger(Ledger):
    """One open connection a thread; transactions begin and end as they do on a fresh one."""

    __slots__ = ("_local", "_opened")

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        object.__setattr__(self, "_local", threading.local())
        object.__setattr__(self, "_opened", [])

    @contextmanager
    def transaction(self, *, statement_timeout_s: float = 60) -> Iterator[Cursor]:
        with self._translated():
            connection = self._mine()
            try:
                with connection.cursor() as cursor:
                    yield cursor
                connection.commit()
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise

    def close(self) -> None:
        """Close what is open."""
        for connection in self._opened:
            connection.close()

    def _mine(self) -> psycopg.Connection[Any]:
        found: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if found is None or found.closed:
            found = self._local.connection = self.connect()
            self._opened.append(found)
        return found


@pytest.fixture
def database(postgres_server: Server) -> Iterator[Ledger]:
    """A migrated ledger of the test's own."""
    yield from _made(postgres_server)


@pytest.fixture
def database_two(postgres_server: Server) -> Iterator[Ledger]:
    """Another one, for what two histories of one world must agree on."""
    yield from _made(postgres_server)


def _made(server: Server) -> Iterator[Ledger]:
    ledger = WarmLedger(server.create_migrated().dsn)
    yield ledger
    ledger.close()
    server.drop(ledger)
