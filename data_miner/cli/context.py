"""How a command reaches the ledger, the store and a project's row, and what it says when one is missing."""

import difflib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_miner.config.settings import Settings
from data_miner.errors import DataMinerError, UsageError
from data_miner.ledger import meta, migrate, projects
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.embedded import EmbeddedPostgres
from data_miner.store.artifacts import Store


class NothingYetError(DataMinerError):
    """There is no ledger: nothing was mined in this data folder."""


@contextmanager
def open_ledger(settings: Settings, *, create: bool, server: EmbeddedPostgres | None = None) -> Iterator[Ledger]:
    """Give the ledger, its schema checked; the embedded server is started, and let go at the end.

    `create` makes and migrates the embedded one; without it nothing is created and NothingYetError says that
    there is nothing. A server named by DATABASE_URL is never migrated here: SchemaMismatchError. `server` is
    the embedded one's handle when the caller needs it to revive it later.
    """
    if settings.database_url is not None:
        ledger = Ledger(settings.database_url)
        migrate.check(ledger)
        yield ledger
        return
    embedded = server or EmbeddedPostgres(settings.postgres)
    try:
        if not create and not embedded.exists:
            raise NothingYetError(f"nothing mined yet in {settings.data}; data-miner run -p NAME")
        dsn = embedded.ensure()
    except OSError as error:
        raise unwritable(settings.data, error) from error
    try:
        yield _checked(Ledger(dsn), create)
    finally:
        embedded.release()


def open_store(settings: Settings, ledger: Ledger, *, create: bool) -> tuple[Store, str]:
    """Give the store that the ledger belongs to, with its id; `create` binds a new ledger to it.

    A store that the ledger knows is never made anew: an unmounted disk is UnreachableError.
    """
    store = Store(settings.store)
    with ledger.transaction() as cursor:
        expected = meta.store_id(cursor)
    if expected is None:
        if not create:
            raise NothingYetError(f"nothing mined yet in {settings.data}; data-miner run -p NAME")
        found = _claimed(store)
        expected = ledger.with_retry(lambda cursor: meta.keep_store_id(cursor, found), deadline_s=30)
    store.ensure_identity(expected)
    return store, expected


def project_row(cursor: Cursor, name_or_path: str, settings: Settings) -> Any:
    """The row of a project by its name or its file; UsageError with the nearest name when there is none."""
    name = name_of(name_or_path)
    row = projects.find(cursor, name)
    if row is not None:
        return row
    from data_miner.config.project import list_projects

    if name in list_projects(settings) or name_or_path != name:
        raise NothingYetError(f"{name}: nothing mined yet; data-miner run -p {name_or_path}")
    known = sorted({*projects.names(cursor), *list_projects(settings)})
    raise unknown_project(name, known)


def unknown_project(name: str, known: list[str]) -> UsageError:
    """One line with the nearest name."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
    return UsageError(f"no project {name!r}; {hint}")


def name_of(name_or_path: str) -> str:
    """A project's name: that of its file when a file is given."""
    is_file = name_or_path.endswith((".yaml", ".yml"))
    return Path(name_or_path).stem if is_file else name_or_path


def unwritable(folder: Path, error: OSError) -> UsageError:
    """One line for a data folder that cannot be used."""
    why = (error.strerror or str(error)).lower()
    return UsageError(f"data folder {folder} cannot be written: {why}; name another one with --data")


def _checked(ledger: Ledger, create: bool) -> Ledger:
    # Asked before upgrade(), which imports the migration tool: half a second that a second run need not pay.
    if create and migrate.current(ledger) < migrate.code_version():
        migrate.upgrade(ledger)
    migrate.check(ledger)
    return ledger


def _claimed(store: Store) -> str:
    try:
        return store.claim_identity(uuid.uuid4().hex)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"store {store.place} cannot be written: {why}; set DATA_MINER_STORE") from error
