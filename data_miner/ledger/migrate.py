"""The schema's version: what the code wants, what a server has, and the way up.

Migrations are plain SQL files in migrations/sql; alembic decides which of them a server still lacks.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from psycopg import Connection, errors, sql

from data_miner.errors import SchemaMismatchError, UnreachableError
from data_miner.ledger.connection import SCHEMA, Ledger

if TYPE_CHECKING:
    import sqlalchemy

_OLDEST_SERVER = 150_000  # PostgreSQL 15, in libpq's numbering
_LOCK_KEY = 0x646D_696E  # any constant; `data-miner init-db` from two terminals must not race
_FOLDER = files("data_miner.ledger") / "migrations"


@cache
def code_version() -> int:
    """Return the newest schema version this code brings."""
    found = (re.match(r"(\d{4})_\w+\.py$", entry.name) for entry in (_FOLDER / "versions").iterdir())
    return max(int(match[1]) for match in found if match)


def current(ledger: Ledger) -> int:
    """Return the server's schema version, 0 when it has none."""
    with ledger.transaction() as cursor:
        try:
            cursor.execute(sql.SQL("SELECT version_num FROM {}.alembic_version").format(sql.Identifier(SCHEMA)))
        except errors.UndefinedTable:
            cursor.connection.rollback()
            return 0
        row = cursor.fetchone()
    return int(row.version_num) if row else 0


def check(ledger: Ledger) -> None:
    """Raise SchemaMismatchError, with the command that cures it, unless server and code agree."""
    _compare(current(ledger), ledger)


def upgrade(ledger: Ledger) -> int:
    """Bring a server up to the code's version in one transaction and return that version.

    Safe from several processes at once; a server newer than the code is left alone: SchemaMismatchError.
    """
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: ledger.connect(statement_timeout_s=3600),
        poolclass=sqlalchemy.pool.NullPool,
    )
    with _translated(ledger), as_file(_FOLDER) as folder, engine.begin() as connection:
        _enter(_raw(connection))
        if (found := current(ledger)) > code_version():
            _compare(found, ledger)
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _raw(connection).execute(_text("grants.sql"))
    return code_version()


@contextmanager
def _translated(ledger: Ledger) -> Iterator[None]:
    """A server that goes away in the middle is the same to callers whichever library noticed."""
    import sqlalchemy

    try:
        yield
    except sqlalchemy.exc.OperationalError as error:
        raise UnreachableError(f"database {ledger.place} broke off while its schema was made; try again") from error


def run_file(name: str) -> None:
    """Run one file of migrations/sql inside the migration that calls this."""
    from alembic import op

    _raw(op.get_bind()).execute(_text(name))


def _enter(connection: Connection[Any]) -> None:
    if connection.info.server_version < _OLDEST_SERVER:
        raise UnreachableError("this PostgreSQL is older than 15, which is the oldest supported; upgrade the server")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
    # CREATE SCHEMA IF NOT EXISTS wants the right to create even when there is nothing to do.
    if connection.execute("SELECT to_regnamespace(%s) IS NULL", (SCHEMA,)).fetchone() == (True,):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))


def _compare(found: int, ledger: Ledger) -> None:
    wanted = code_version()
    if found == 0:
        raise SchemaMismatchError(f"database {ledger.place} holds no ledger yet; run: data-miner init-db")
    if found < wanted:
        raise SchemaMismatchError(
            f"database {ledger.place} has schema {found}, this code wants {wanted}; run: data-miner init-db"
        )
    if found > wanted:
        raise SchemaMismatchError(
            f"database {ledger.place} has schema {found}, this code knows {wanted}; upgrade data-miner here"
        )


def _raw(connection: "sqlalchemy.Connection") -> Connection[Any]:
    # Plain psycopg: a file of many statements with % in it, which SQLAlchemy would take for a placeholder.
    driver: Connection[Any] | None = connection.connection.driver_connection
    assert driver is not None
    return driver


def _text(name: str) -> str:
    return (_FOLDER / "sql" / name).read_text(encoding="utf-8")
