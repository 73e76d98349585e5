import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from data_miner.errors import UnreachableError
from data_miner.ledger import migrate
from data_miner.ledger import place as places
from data_miner.ledger.cluster import Cluster
from data_miner.ledger.connection import Ledger
from data_miner.ledger.embedded import EmbeddedPostgres
from data_miner.ledger.place import Account, locate, make_home
from tests.support.postgres import reachable_folder

# A process of its own that needs the server: it says so on stdout and lives until stdin ends or it is killed.
USER = """
import sys
from pathlib import Path
from data_miner.ledger.embedded import EmbeddedPostgres
postgres = EmbeddedPostgres(Path(sys.argv[1]))
postgres.ensure()
print("ready", flush=True)
sys.stdin.read()
postgres.release()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder's `postgres`, not made yet; whatever happens, its server is gone afterwards."""
    top = reachable_folder()
    yield top / "data" / "postgres"
    for home in top.rglob("postgres"):
        EmbeddedPostgres(home).remove()
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Path, str]]:
    """One server for the tests that only look."""
    top = reachable_folder()
    postgres = EmbeddedPostgres(top / "postgres")
    yield top / "postgres", postgres.ensure()
    postgres.remove()
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A cluster that never ran, to be copied: initdb is most of what a test would wait for."""
    top = reachable_folder()
    make_home(top / "postgres")
    cluster = Cluster(locate(top / "postgres"))
    cluster.init()
    yield cluster.place.cluster
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def made(folder: Path, template: Path) -> Path:
    """The same with a cluster in it."""
    folder.parent.mkdir()
    make_home(folder)
    subprocess.run(["cp", "-a", template, folder / "cluster"], check=True)  # keeps the owner
    return folder


def pid_file(home: Path) -> Path:
    return locate(home).cluster / "postmaster.pid"


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int(pid_file(home).read_text().split()[0]))


def other_process(home: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def said_ready(process: "subprocess.Popen[str]") -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "ready\n"


def write_row(dsn: str, n: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS data_miner")
        connection.execute("CREATE TABLE IF NOT EXISTS data_miner.note (n int)")
        connection.execute("INSERT INTO data_miner.note VALUES (%s)", (n,))


def rows(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM data_miner.note ORDER BY n")]


def test_a_server_is_made_adopted_stopped_by_the_last_user_and_keeps_its_rows(folder: Path) -> None:
    first, second = EmbeddedPostgres(folder), EmbeddedPostgres(folder)
    assert not first.exists
    dsn = first.ensure()
    write_row(dsn, 1)
    running = postmaster(folder)
    assert second.ensure() == dsn
    assert postmaster(folder) == running
    first.release()
    assert second.alive()
    second.release()
    assert not second.alive()
    assert not pid_file(folder).exists()
    with EmbeddedPostgres(folder) as again:
        assert rows(again) == [1]


def test_ensure_counts_a_process_once(made: Path) -> None:
    postgres = EmbeddedPostgres(made)
    postgres.ensure()
    postgres.ensure()
    postgres.release()
    assert not postgres.alive()


def test_processes_that_start_together_share_one_server(folder: Path) -> None:
    processes = [other_process(folder) for _ in range(3)]
    assert [said_ready(process) for process in processes] == [True] * 3
    servers = [p for p in psutil.process_iter(["cmdline"]) if f"{folder}/cluster" in (p.info["cmdline"] or [])]
    assert len(servers) == 1
    for process in processes:
        process.communicate("")
    assert not EmbeddedPostgres(folder).alive()


def test_a_postmaster_killed_under_its_clients_is_brought_back_with_what_was_committed(made: Path) -> None:
    postgres = EmbeddedPostgres(made)
    dsn = postgres.ensure()
    write_row(dsn, 1)
    with psycopg.connect(dsn) as client:
        client.execute("INSERT INTO data_miner.note VALUES (2)")
        postmaster(made).kill()
        assert postgres.ensure() == dsn
        assert rows(dsn) == [1]
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    postgres.release()
    assert not postgres.alive()


def test_a_busy_backend_of_a_killed_postmaster_is_waited_for(made: Path) -> None:
    postgres = EmbeddedPostgres(made)
    dsn = postgres.ensure()
    with psycopg.connect(dsn) as client:
        backend = psutil.Process(client.info.backend_pid)
        backend.suspend()  # cannot notice that its postmaster is gone
        postmaster(made).kill()
        with pytest.raises(UnreachableError, match="does not answer"):
            postgres.ensure(timeout_s=0.5)
        assert backend.status() == psutil.STATUS_STOPPED
        backend.resume()
        postgres.ensure()
    write_row(dsn, 1)


def test_a_run_killed_with_its_server_living_leaves_it_to_the_next_who_then_stops_it(made: Path) -> None:
    process = other_process(made)
    assert said_ready(process)
    running = postmaster(made)
    process.kill()
    process.wait()
    postgres = EmbeddedPostgres(made)
    assert postgres.alive()
    postgres.ensure()
    assert postmaster(made) == running
    postgres.release()
    assert not postgres.alive()


def test_everything_killed_at_once_starts_again(made: Path) -> None:
    process = other_process(made)
    assert said_ready(process)
    write_row(EmbeddedPostgres(made).ensure(), 7)
    family = [postmaster(made), *postmaster(made).children()]
    for victim in (psutil.Process(process.pid), *family):
        with suppress(psutil.NoSuchProcess):  # a backend that was leaving anyway
            victim.kill()
    process.wait()
    with EmbeddedPostgres(made) as dsn:
        assert rows(dsn) == [7]


def test_a_pid_that_another_process_took_over_does_not_keep_the_server_down(made: Path) -> None:
    postgres = EmbeddedPostgres(made)
    postgres.ensure()
    text = pid_file(made).read_text()
    postmaster(made).kill()
    postgres.ensure()
    postgres.stop()
    stranger = subprocess.Popen(["sleep", "60"], **locate(made).account.popen_options())
    try:
        pid_file(made).write_text(text.replace(text.split()[0], str(stranger.pid), 1))
        postgres.ensure(timeout_s=20)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_init_that_was_killed_half_way_is_done_again(folder: Path) -> None:
    (folder / "cluster.new" / "base").mkdir(parents=True)
    (folder / "cluster.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder) as dsn:
        write_row(dsn, 1)
    assert not (folder / "cluster.new").exists()


def test_a_server_that_cannot_start_says_why_and_is_not_used_by_anybody(made: Path) -> None:
    postgres = EmbeddedPostgres(made)
    postgres.ensure()
    postgres.release()
    control = locate(made).cluster / "global" / "pg_control"
    control.write_bytes(b"\0" * control.stat().st_size)
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"does not start: .*FATAL"):
        EmbeddedPostgres(made).ensure()
    assert time.monotonic() - started < 10
    assert not list((made / "users").iterdir())


def test_a_data_folder_that_is_none_is_one_line(folder: Path) -> None:
    folder.parent.write_text("a file")
    with pytest.raises(UnreachableError, match="choose another --data"):
        EmbeddedPostgres(folder).ensure()


def test_the_role_that_logs_in_is_not_superuser_and_the_superuser_does_not_log_in(
    running: tuple[Path, str],
) -> None:
    _, dsn = running
    with Ledger(dsn).transaction() as cursor:
        cursor.execute("SELECT * FROM pg_roles WHERE rolname = current_user")
        role = cursor.fetchone()
    assert not (role.rolsuper or role.rolcreaterole or role.rolcreatedb or role.rolreplication)
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf"):
        psycopg.connect(dsn, user="postgres")


def test_the_embedded_role_may_migrate(running: tuple[Path, str]) -> None:
    migrate.upgrade(Ledger(running[1]))
    migrate.check(Ledger(running[1]))


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(running: tuple[Path, str]) -> None:
    assert os.getsid(postmaster(running[0]).pid) != os.getsid(0)


def test_nothing_listens_and_only_the_owner_reaches_the_socket(running: tuple[Path, str]) -> None:
    home, dsn = running
    assert not [c for c in postmaster(home).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    socket = locate(home).socket
    assert str(socket) in Ledger(dsn).place
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert socket.stat().st_uid == locate(home).account.uid


def test_a_folder_too_long_for_a_socket_and_with_a_comma_works(folder: Path) -> None:
    deep = folder.parent / ("very, very long " * 6) / "data" / "postgres"
    postgres = EmbeddedPostgres(deep)
    write_row(postgres.ensure(), 1)
    socket = locate(deep).socket
    assert socket.parent == Path("/tmp")
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    postgres.remove()
    assert not socket.exists()


def test_a_socket_folder_that_somebody_prepared_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    locate(folder).socket.mkdir(mode=0o755)
    with pytest.raises(UnreachableError, match="not a private folder"):
        EmbeddedPostgres(folder).ensure()


def test_a_private_data_folder_stays_private_and_works(folder: Path) -> None:
    data = folder.parent
    data.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(folder)
    write_row(postgres.ensure(), 1)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    base = locate(folder).base
    assert (base == folder) is (os.geteuid() != 0)
    postgres.release()
    with EmbeddedPostgres(folder) as dsn:
        assert rows(dsn) == [1]
    postgres.remove()
    assert not base.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_a_cluster_elsewhere_that_is_gone_is_told_and_never_replaced_by_an_empty_one(folder: Path) -> None:
    folder.parent.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(folder)
    postgres.ensure()
    postgres.release()
    base = locate(folder).base
    shutil.rmtree(base)
    with pytest.raises(UnreachableError, match="which is gone"):
        EmbeddedPostgres(folder).ensure()
    shutil.rmtree(folder)


def test_binaries_out_of_the_accounts_reach_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    nobody = Account("nobody", os.geteuid() + 1, os.getegid())  # not us, so that reach is asked at all
    monkeypatch.setattr(Account, "reaches", lambda self, path: False)
    copied = places.Place(folder, folder, nobody).binaries()
    assert copied.is_relative_to(folder)
    done = subprocess.run([copied / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("postgres (PostgreSQL) ")
    assert os.access(copied / "initdb", os.X_OK)
