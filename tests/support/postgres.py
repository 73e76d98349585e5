"""A real server for the tests: one embedded PostgreSQL a session, a copied database for each test."""

import itertools
import shutil
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from data_miner.ledger import migrate
from data_miner.ledger.cluster import Cluster
from data_miner.ledger.connection import Ledger
from data_miner.ledger.embedded import EmbeddedPostgres
from data_miner.ledger.place import locate, make_home

TEMPLATE = "migrated"
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2_000_000_000
_PATIENCE_S = 20.0


def reachable_folder() -> Path:
    """Make a folder that root's stand-in for PostgreSQL can enter too, so that nothing goes to /var/lib.

    In memory where there is room: the suite kills processes, not the power, and fsync is half of its time
    (test_embedded.py 8 s against 19 s on a busy disk).
    """
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix="data-miner-test-", dir=_MEMORY if roomy else "/tmp"))
    folder.chmod(0o711)
    return folder


class Server:
    """The session's server. Its role may create databases and roles, which the embedded one's may not."""

    def __init__(self) -> None:
        self.folder = reachable_folder()
        home = self.folder / "postgres"
        make_home(home)
        cluster = Cluster(locate(home))
        cluster.init()
        cluster.run_single("ALTER ROLE data_miner CREATEDB CREATEROLE;\n")
        self.postgres = EmbeddedPostgres(home)
        self._dsn = self.postgres.ensure()
        self._numbers = itertools.count(1)
        self._migrated = False

    def dsn(self, database: str) -> str:
        """Address of one database of this server."""
        return conninfo.make_conninfo(self._dsn, dbname=database)

    def create(self, template: str = "template1") -> Ledger:
        """Create a database of its own and return its ledger."""
        name = f"test_{next(self._numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return Ledger(self.dsn(name))

    def create_migrated(self) -> Ledger:
        """Create a database with the newest schema, by copying one that was migrated once."""
        if not self._migrated:
            self._run("DROP DATABASE IF EXISTS {}", TEMPLATE)  # of a migration that failed in an earlier test
            self._run("CREATE DATABASE {}", TEMPLATE)
            migrate.upgrade(Ledger(self.dsn(TEMPLATE)))
            self._migrated = True
        return self.create(TEMPLATE)

    def drop(self, ledger: Ledger) -> None:
        """Drop a test's database and cut whoever is still connected; autovacuum is not ours to cut, but soon gone."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._run("DROP DATABASE {} WITH (FORCE)", str(conninfo.conninfo_to_dict(ledger.dsn)["dbname"]))
                return
            except psycopg.errors.InsufficientPrivilege:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """Stop the server and delete its files."""
        self.postgres.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
