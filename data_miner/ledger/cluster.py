"""One PostgreSQL cluster on disk: made, started, pinged, signalled. Who may do that when: embedded.py."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
from psycopg import pq

from data_miner.errors import UnreachableError
from data_miner.ledger.place import Place, remember

ROLE = "data_miner"  # logs in, owns the database, is not superuser; there is no login for the superuser
_LOG_LIMIT_BYTES = 10_000_000
_INIT_TIMEOUT_S = 300
# fsync and synchronous_commit stay on: the ledger's promise is that nothing is lost.
_CONF = """\
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 64MB
io_method = sync                          # three processes fewer; the ledger lives in the page cache
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
max_wal_size = 512MB
max_parallel_workers_per_gather = 0       # the cores belong to the miners
jit = off
client_connection_check_interval = 5s     # a killed worker's query ends, and with it its locks
log_checkpoints = off
log_min_messages = log                    # starts, stops and crashes; a statement's error is its client's
log_timezone = 'UTC'
timezone = 'UTC'
"""
# Code point order on every machine; and nobody logs in by initdb's own pg_hba.conf.
_INITDB = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "-Areject"]
_HBA = f"local all {ROLE} peer map=miner\n"
_CREATE = f"CREATE ROLE {ROLE} LOGIN;\nCREATE DATABASE {ROLE} OWNER {ROLE};\n"


class Cluster:
    """The server of one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def dsn(self) -> str:
        """Address of the database, for processes of root and of the data folder's owner."""
        return f"postgresql://{ROLE}@/{ROLE}?host={quote(str(self.place.socket), safe='')}&port=5432"

    def ping(self) -> pq.Ping:
        """Ask the server: OK, REJECT (starting up or shutting down) or NO_RESPONSE."""
        return pq.Ping(pq.PGconn.ping(f"{self.dsn}&connect_timeout=5".encode()))

    def init(self) -> None:
        """Make the cluster, its role and its database, unless it is there; complete or not at all."""
        self.place.make_folders()
        if self.place.cluster.exists():
            return
        fresh = self.place.cluster.with_name("cluster.new")
        if fresh.exists():
            shutil.rmtree(fresh)  # somebody was killed in here
        fresh.mkdir(mode=0o700)
        self.place.account.own(fresh)
        # One syncfs instead of 1,000 fsyncs: 1.3 s against 3.4 s on a busy disk. Linux alone has it.
        sync = ["--sync-method=syncfs"] if sys.platform == "linux" else []
        self._run("initdb", "-D", str(fresh), "-U", "postgres", *_INITDB, *sync)
        self.run_single(_CREATE, fresh)
        fresh.rename(self.place.cluster)
        _sync(self.place.base)
        remember(self.place)
        _sync(self.place.home)

    def run_single(self, statements: str, folder: Path | None = None) -> None:
        """Run statements, one a line, as superuser in single-user mode; the server must be down."""
        target = str(folder or self.place.cluster)
        self._run("postgres", "--single", "-D", target, "-c", "exit_on_error=on", "postgres", stdin=statements)

    def start(self, lock_fd: int) -> "subprocess.Popen[bytes]":
        """Start the server and return at once. It and all its backends inherit `lock_fd` and so its flock."""
        place = self.place
        place.make_folders()
        self._write_conf()
        self._clear_stale_pid()
        if place.log.exists() and place.log.stat().st_size > _LOG_LIMIT_BYTES:
            place.log.rename(place.log.with_suffix(".log.1"))
        command = [str(place.binaries() / "postgres"), "-D", str(place.cluster), "-k", str(place.socket)]
        for name in ("config_file=postgresql.conf", "hba_file=pg_hba.conf", "ident_file=pg_ident.conf"):
            setting, _, file = name.partition("=")
            command += ["-c", f"{setting}={place.conf / file}"]
        with place.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock_fd,),
                start_new_session=True,  # Ctrl-C in the terminal drains the run; the server is stopped last
                **place.account.popen_options(),
            )

    def signal(self, how: signal.Signals) -> None:
        """Send a signal to the postmaster; nothing happens when it is gone."""
        process = self._postmaster()
        if process is not None:
            process.send_signal(how)

    def last_words(self) -> str:
        """Return the newest line of the server's log that tells of an error, for messages."""
        try:
            lines = self.place.log.read_bytes()[-20_000:].decode(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        errors = [line for line in lines if "FATAL" in line or "PANIC" in line or "error" in line]
        return (errors or lines or ["its log is empty"])[-1]

    def _postmaster(self) -> psutil.Process | None:
        """Find the process that postmaster.pid names, if it is alive and a postgres: pids are used again."""
        try:
            pid = int((self.place.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            alive = process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return process if alive else None

    def _clear_stale_pid(self) -> None:
        """Remove what a killed server left: PostgreSQL takes any process of its pid for it."""
        if self._postmaster() is None:
            (self.place.cluster / "postmaster.pid").unlink(missing_ok=True)
            for left in self.place.socket.glob(".s.PGSQL.*"):
                left.unlink(missing_ok=True)

    def _write_conf(self) -> None:
        place = self.place
        names = set()
        for uid in (0, os.geteuid(), place.home.stat().st_uid):
            with suppress(KeyError):
                names.add(pwd.getpwuid(uid).pw_name)
        ident = "".join(f'miner "{name}" {ROLE}\n' for name in sorted(names))
        for name, text in (("postgresql.conf", _CONF), ("pg_hba.conf", _HBA), ("pg_ident.conf", ident)):
            path = place.conf / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        command = [str(self.place.binaries() / program), *arguments]
        try:
            done = subprocess.run(
                command,
                input=stdin.encode(),
                capture_output=True,
                timeout=_INIT_TIMEOUT_S,
                check=False,
                **self.place.account.popen_options(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreachableError(f"embedded PostgreSQL: {program} did not run: {error}") from error
        if done.returncode != 0:
            said = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()
            words = next((s for s in said if "FATAL" in s or "error" in s), said[-1] if said else "no words")
            raise UnreachableError(f"embedded PostgreSQL: {program} failed in {self.place.base}: {words}")


def _sync(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
