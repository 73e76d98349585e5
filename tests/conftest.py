"""Fixtures that more than one folder of tests needs."""

from collections.abc import Iterator

import pytest

from data_miner.ledger.connection import Ledger
from tests.support.postgres import Server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A real PostgreSQL, started for the first test that asks."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def database(postgres_server: Server) -> Iterator[Ledger]:
    """A migrated ledger of the test's own."""
    ledger = postgres_server.create_migrated()
    yield ledger
    postgres_server.drop(ledger)


@pytest.fixture
def empty_database(postgres_server: Server) -> Iterator[Ledger]:
    """A database without a schema."""
    ledger = postgres_server.create()
    yield ledger
    postgres_server.drop(ledger)
