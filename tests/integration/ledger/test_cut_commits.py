"""A connection that breaks in the commit: nobody knows, the job itself tells."""

from collections.abc import Iterator

import pytest

from data_miner.errors import LeaseLostError, UnreachableError
from data_miner.ledger import jobs, successors, videos
from data_miner.ledger.connection import Cursor, Ledger
from tests.support.ledger import Miner, World, register, rows
from tests.support.proxy import Proxy

WORLD = World({"one": ["a", "b"]})


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
