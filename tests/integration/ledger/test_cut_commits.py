"""A connection that breaks in the commit: nobody knows, the job itself tells."""

import select
import socket
import threading
from collections.abc import Iterator

import pytest
from psycopg import conninfo

from data_miner.errors import LeaseLostError, UnreachableError
from data_miner.ledger import jobs, successors, videos
from data_miner.ledger.connection import Cursor, Ledger
from tests.support.ledger import Miner, World, register, rows

WORLD = World({"one": ["a", "b"]})


class Proxy:
    """A relay to the server on a socket of its own that can drop what comes after COMMIT, or COMMIT itself."""

    def __init__(self, ledger: Ledger) -> None:
        given = conninfo.conninfo_to_dict(ledger.dsn)
        self._target = f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.drops: str | None = None  # "request" | "reply"
        self.cuts = 0
        port = self._listener.getsockname()[1]
        self.ledger = Ledger(conninfo.make_conninfo(ledger.dsn, host="127.0.0.1", port=port))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting."""
        self._listener.shutdown(socket.SHUT_RDWR)  # close alone leaves accept() asleep
        self._listener.close()
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        with client, server:
            while self._pass_on(client, server):
                pass

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        ready, _, _ = select.select([client, server], [], [], 30)
        for end in ready:
            data = end.recv(65536)
            if not data:
                return False
            is_commit = end is client and b"COMMIT" in data
            if is_commit and self.drops == "request":
                self.cuts, self.drops = self.cuts + 1, None
                return False
            (server if end is client else client).sendall(data)
            if is_commit and self.drops == "reply":
                self.cuts, self.drops = self.cuts + 1, None
                server.recv(65536)  # the server has committed and says so; nobody hears it
                return False
        return bool(ready)


@pytest.fixture
def proxy(database: Ledger) -> Iterator[Proxy]:
    """A relay in front of the test's database."""
    found = Proxy(database)
    yield found
    found.close()


def _download(miner: Miner) -> jobs.Job:
    miner.run(["expand"])
    job = miner.claim(["download"])
    assert job is not None
    return job


def _write(cursor: Cursor, job: jobs.Job) -> None:
    """What a download commits."""
    file = WORLD.file(str(job.video_id))
    jobs.lock(cursor, job)
    videos.page_read(cursor, int(job.fetch_id or 0), file.info)
    videos.fetched(cursor, int(job.fetch_id or 0), f"videos/{job.artifact}.mp4", file)
    jobs.finish(cursor, job)
    successors.derive_after(cursor, job.project_id, job.video_id, job.stage)


def _finish(job: jobs.Job, through: Ledger) -> str:
    """As the engine's worker commits."""
    try:
        through.with_retry(lambda cursor: _write(cursor, job), deadline_s=20)
    except LeaseLostError:
        if through.with_retry(lambda cursor: jobs.is_done_by(cursor, job), deadline_s=20):
            return "done before"
        raise
    return "done"


def test_a_commit_whose_reply_was_lost_is_read_back_as_done(database: Ledger, proxy: Proxy) -> None:
    register(database, WORLD)
    job = _download(Miner(database, WORLD))
    proxy.drops = "reply"
    assert _finish(job, proxy.ledger) == "done before"
    assert proxy.cuts == 1
    assert len(rows(database, "SELECT FROM job WHERE stage = 'extract'")) == 3


def test_a_commit_that_never_arrived_is_done_again(database: Ledger, proxy: Proxy) -> None:
    register(database, WORLD)
    job = _download(Miner(database, WORLD))
    proxy.drops = "request"
    assert _finish(job, proxy.ledger) == "done"
    assert proxy.cuts == 1
    assert len(rows(database, "SELECT FROM job WHERE stage = 'extract'")) == 3


def test_a_backend_killed_in_the_middle_leaves_the_job_as_it_was(database: Ledger) -> None:
    register(database, WORLD)
    job = _download(Miner(database, WORLD))

    def write_and_die(cursor: Cursor) -> None:
        _write(cursor, job)
        with database.connect(autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [cursor.connection.info.backend_pid])

    with pytest.raises(UnreachableError):
        Ledger(database.dsn).with_retry(write_and_die, deadline_s=0)
    assert rows(database, "SELECT state FROM job WHERE id = %s", job.id)[0].state == "running"
    assert not rows(database, "SELECT FROM job WHERE stage = 'extract'")
    assert _finish(job, Ledger(database.dsn)) == "done"
