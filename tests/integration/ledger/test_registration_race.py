"""A finish of shared work in flight while a second project registers: in both orders no job is missing."""

import threading
import time
from collections.abc import Callable

import pytest

from data_miner.ledger import jobs, successors
from data_miner.ledger.connection import Cursor, Ledger
from tests.support.ledger import Miner, World, brute_force, kept, plan, register, rows, state_of

WORLD = World({"one": ["a", "b"], "two": ["c"]})
SHARED = ("expand", "download", "extract")


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start it, and leave it time to reach the lock it must wait for."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_until_blocked(ledger: Ledger) -> None:
    """Until some backend waits for a lock that another holds."""
    query = """SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    until = time.monotonic() + 10
    while not rows(ledger, query):
        assert time.monotonic() < until, "nobody waits: the race is not where the test thinks"
        time.sleep(0.01)


def half_done(ledger: Ledger, stage: str) -> tuple[Miner, jobs.Job]:
    """A project whose next job is of a shared stage, in hand; all earlier work is done."""
    register(ledger, WORLD, "first")
    register(ledger, WORLD, "second", stages=("expand",))
    miner = Miner(ledger, WORLD)
    miner.run(SHARED[: SHARED.index(stage)])
    job = miner.claim([stage])
    assert job is not None and job.project_id is None
    return miner, job


def check_nothing_is_missing(ledger: Ledger, miner: Miner) -> None:
    """Without another derivation than those of the two, both projects run to their end."""
    miner.run()
    for name in ("first", "second"):
        project_id = rows(ledger, "SELECT id FROM project WHERE name = %s", name)[0].id
        assert kept(ledger, project_id) == brute_force(ledger, WORLD, project_id, plan())
        assert not rows(ledger, "SELECT FROM project_video WHERE NOT is_cut AND project_id = %s", project_id)
        undecided = "SELECT FROM project_segment WHERE NOT is_decided AND project_id = %s"
        assert not rows(ledger, undecided, project_id)
        with ledger.transaction() as cursor:
            assert successors.derive(cursor, project_id) == 0


@pytest.mark.parametrize("stage", ["download", "extract"])
def test_a_registration_that_comes_into_a_finish_sees_it(database: Ledger, stage: str) -> None:
    miner, job = half_done(database, stage)
    save, _ = miner._process(job)
    with database.connect() as finishing, finishing.cursor() as cursor:
        jobs.lock(cursor, job)
        save(cursor)
        jobs.finish(cursor, job)
        successors.derive_after(cursor, job.project_id, job.video_id, job.stage)
        registering = in_thread(lambda: register(database, WORLD, "second"))
        wait_until_blocked(database)
        finishing.commit()
    registering.join()
    check_nothing_is_missing(database, miner)


@pytest.mark.parametrize("stage", ["download", "extract"])
def test_a_finish_that_comes_into_a_registration_sees_it(database: Ledger, stage: str) -> None:
    miner, job = half_done(database, stage)
    registered, go_on = threading.Event(), threading.Event()

    class Held(Ledger):
        """Commits when told."""

        def with_retry(self, work: Callable[[Cursor], object], **given: object) -> object:  # type: ignore[override]
            with self.transaction() as cursor:
                found = work(cursor)
                registered.set()
                assert go_on.wait(10)
                return found

    registering = in_thread(lambda: register(Held(database.dsn), WORLD, "second"))
    assert registered.wait(10)
    finishing = in_thread(lambda: miner.finish(job))
    wait_until_blocked(database)
    go_on.set()
    registering.join()
    finishing.join()
    assert rows(database, "SELECT state FROM job WHERE id = %s", job.id)[0].state == "done"
    check_nothing_is_missing(database, miner)


@pytest.mark.parametrize("stage", ["download", "extract"])
def test_a_source_that_is_expanded_into_a_finish_sees_it(database: Ledger, stage: str) -> None:
    register(database, WORLD, "first")
    miner = Miner(database, WORLD)
    miner.run(SHARED[: SHARED.index(stage)])
    job = miner.claim([stage])
    assert job is not None
    save, _ = miner._process(job)
    register(database, WORLD, "second")  # knows no video yet, so it waits for nobody
    expand = miner.claim(["expand"])
    assert expand is not None
    other = Miner(database, WORLD)
    with database.connect() as finishing, finishing.cursor() as cursor:
        jobs.lock(cursor, job)
        save(cursor)
        jobs.finish(cursor, job)
        successors.derive_after(cursor, job.project_id, job.video_id, job.stage)
        expanding = in_thread(lambda: other.finish(expand))
        wait_until_blocked(database)
        finishing.commit()
    expanding.join()
    check_nothing_is_missing(database, miner)


def test_two_first_runs_of_one_name_make_one_project(database: Ledger, database_two: Ledger) -> None:
    barrier, found, errors = threading.Barrier(4), list[int](), list[BaseException]()

    def run() -> None:
        barrier.wait()
        try:
            found.append(register(database, WORLD, "same"))
        except BaseException as error:
            errors.append(error)

    threads = [in_thread(run) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert not errors and len(found) == 4 and len(set(found)) == 1
    register(database_two, WORLD, "same")
    for ledger in (database, database_two):
        Miner(ledger, WORLD).run()
    assert state_of(database) == state_of(database_two)


def test_a_deletion_that_comes_into_a_finish_leaves_the_shared_rows(database: Ledger) -> None:
    from data_miner.ledger import projects

    miner, job = half_done(database, "extract")
    project_id = rows(database, "SELECT id FROM project WHERE name = 'first'")[0].id
    save, _ = miner._process(job)
    with database.connect() as finishing, finishing.cursor() as cursor:
        jobs.lock(cursor, job)
        save(cursor)
        jobs.finish(cursor, job)
        successors.derive_after(cursor, job.project_id, job.video_id, job.stage)
        deleting = in_thread(lambda: database.with_retry(lambda other: projects.delete(other, project_id)))
        wait_until_blocked(database)
        finishing.commit()
    deleting.join()
    assert rows(database, "SELECT FROM segment WHERE shard IS NOT NULL")
    assert not rows(database, "SELECT FROM job WHERE project_id = %s", project_id)
