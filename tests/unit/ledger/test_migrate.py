import threading

import pytest

from data_miner.errors import SchemaMismatchError
from data_miner.ledger import migrate
from data_miner.ledger.connection import Ledger


def set_version(ledger: Ledger, version: str) -> None:
    with ledger.transaction() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = %s", (version,))


def test_an_empty_server_wants_init_db(empty_database: Ledger) -> None:
    assert migrate.current(empty_database) == 0
    with pytest.raises(SchemaMismatchError, match="holds no ledger yet; run: data-miner init-db"):
        migrate.check(empty_database)


def test_upgrade_brings_an_empty_server_to_the_code_and_a_second_one_changes_nothing(
    empty_database: Ledger,
) -> None:
    assert migrate.upgrade(empty_database) == migrate.code_version() == migrate.current(empty_database)
    migrate.check(empty_database)
    assert migrate.upgrade(empty_database) == migrate.code_version()


def test_two_upgrades_at_once_both_succeed(empty_database: Ledger) -> None:
    done = []
    threads = [threading.Thread(target=lambda: done.append(migrate.upgrade(empty_database))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [migrate.code_version()] * 2


def test_a_newer_schema_is_refused_and_left_alone(database: Ledger) -> None:
    set_version(database, "9999")
    with pytest.raises(SchemaMismatchError, match="upgrade data-miner here"):
        migrate.check(database)
    with pytest.raises(SchemaMismatchError, match="schema 9999"):
        migrate.upgrade(database)
    assert migrate.current(database) == 9999


def test_an_older_schema_names_the_command(database: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = migrate.code_version() + 1
    monkeypatch.setattr(migrate, "code_version", lambda: newer)
    with pytest.raises(SchemaMismatchError, match=f"this code wants {newer}; run: data-miner init-db"):
        migrate.check(database)


def test_workers_may_write_rows_and_neither_the_version_nor_tables(database: Ledger) -> None:
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT has_table_privilege('data_miner_worker', 'meta', 'INSERT') AS rows,"
            " has_table_privilege('data_miner_worker', 'alembic_version', 'UPDATE') AS version,"
            " has_schema_privilege('data_miner_worker', 'data_miner', 'CREATE') AS tables"
        )
        assert cursor.fetchone() == (True, False, False)
