"""Where commands find a ledger: nothing there, an embedded server, one by address; who may create what."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_miner.cli.context import NothingYetError, open_ledger, open_store
from data_miner.cli.main import run
from data_miner.config.settings import Settings
from data_miner.errors import SchemaMismatchError, UnreachableError
from data_miner.ledger import migrate, projects
from data_miner.ledger.connection import Ledger
from data_miner.ledger.embedded import EmbeddedPostgres
from tests.support.postgres import reachable_folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that leads to an empty place."""
    for name in list(os.environ):
        if name.startswith(("PG", "DATA_MINER_")) or name in ("DATABASE_URL", "RAY_ADDRESS"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def embedded(nowhere: Path) -> Iterator[Settings]:
    """Settings of a data folder that the embedded server's user can reach."""
    folder = reachable_folder()
    settings = Settings.from_env(str(folder / "data"))
    yield settings
    EmbeddedPostgres(settings.postgres).remove()
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status",), 0),
        (("status", "-p", "doors"), 1),
        (("sites",), 0),
        (("jobs",), 1),
        (("retry", "-p", "doors"), 1),
        (("export", "-p", "doors"), 1),
        (("projects", "list"), 0),
        (("projects", "delete", "doors", "--yes"), 1),
    ],
)
def test_reading_creates_no_data_folder(
    nowhere: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int
) -> None:
    assert run(arguments) == code
    assert "Traceback" not in capsys.readouterr().err
    assert list(nowhere.iterdir()) == []


def test_an_embedded_ledger_is_made_found_again_and_left_stopped(embedded: Settings) -> None:
    with pytest.raises(NothingYetError), open_ledger(embedded, create=False):
        pass
    with open_ledger(embedded, create=True) as ledger, ledger.transaction() as cursor:
        assert projects.names(cursor) == []
        store, identity = open_store(embedded, ledger, create=True)
        assert open_store(embedded, ledger, create=False) == (store, identity)
    server = EmbeddedPostgres(embedded.postgres)
    assert not server.alive(), "the last one out stops the server"
    with open_ledger(embedded, create=False) as ledger:
        assert migrate.current(ledger) == migrate.code_version()
        Path(embedded.store).rename(f"{embedded.store}.gone")
        with pytest.raises(UnreachableError, match="is it mounted"):
            open_store(embedded, ledger, create=True)


def test_a_server_by_address_is_never_migrated_but_by_init_db(
    empty_database: Ledger, nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.dsn)
    with pytest.raises(SchemaMismatchError), open_ledger(Settings.from_env(), create=True):
        pass
    assert run(["status"]) == 5
    assert "run: data-miner init-db" in capsys.readouterr().err
    assert run(["init-db"]) == 0
    assert f"schema none → {migrate.code_version()}" in capsys.readouterr().out
    assert run(["init-db"]) == 0
    assert "as it was" in capsys.readouterr().out
    with empty_database.transaction() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = '0999'")
    assert run(["status"]) == 5
    assert "upgrade data-miner here" in capsys.readouterr().err


def test_a_dead_server_is_exit_4_and_its_password_stays_secret(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://kim:hunter2@127.0.0.1:1/doors")
    assert run(["-v", "status"]) == 4
    shown = capsys.readouterr()
    assert "127.0.0.1:1/doors does not answer" in shown.err and "hunter2" not in shown.err + shown.out


def test_a_data_folder_that_cannot_be_made_is_one_line(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "file").write_text("in the way")
    assert run(["init-db", "--data", "file/data"]) in (2, 4)
    err = capsys.readouterr().err
    assert "--data" in err and err.count("\n") == 1


def test_a_reader_that_leaves_is_not_an_error(database: Ledger, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "DATABASE_URL": database.dsn}
    command = [sys.executable, "-m", "data_miner", "config", "show", "-p", "glass_door"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
