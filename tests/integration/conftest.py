"""A mined project, made once and copied for each test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_miner.ledger.connection import Ledger
from tests.support import mined
from tests.support.postgres import Server


@pytest.fixture(scope="session")
def mined_template(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, mined.Place]:
    """Name of the database and the place of its files."""
    from psycopg import conninfo

    place = mined.prepare(tmp_path_factory.mktemp("mined"))
    ledger = postgres_server.create_migrated()
    mined.mine(ledger, place)
    return str(conninfo.conninfo_to_dict(ledger.dsn)["dbname"]), place


@pytest.fixture
def patterns(
    mined_template: tuple[str, mined.Place],
    postgres_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ledger]:
    """A ledger of the test's own with the mined project; the environment leads commands to it."""
    template, place = mined_template
    ledger = postgres_server.create(template)
    monkeypatch.setenv("DATABASE_URL", ledger.dsn)
    monkeypatch.setenv("DATA_MINER_STORE", place.settings.store)
    monkeypatch.setenv("DATA_MINER_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("DATA_MINER_PROJECT", raising=False)
    monkeypatch.chdir(place.folder)
    yield ledger
    postgres_server.drop(ledger)
