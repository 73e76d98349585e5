"""Claim, heartbeat, finish, fail, sweep: what fencing and the database's clock allow, and nothing else."""

import uuid
from dataclasses import replace

import pytest

from data_miner.errors import LaterError, LeaseLostError, NeverError, SmallerError
from data_miner.ledger import jobs
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from tests.support.ledger import Miner, World, register, rows, run_sql

WORLD = World({"one": ["a", "b"]})


@pytest.fixture
def miner(database: Ledger) -> Miner:
    """A worker of a project whose two downloads wait."""
    register(database, WORLD)
    found = Miner(database, WORLD)
    assert found.step(["expand"]) == "done"
    return found


def row_of(miner: Miner, job: Job) -> tuple[str, int, int, int]:
    """State, attempt, failures, deaths."""
    found = rows(miner.ledger, "SELECT state, attempt, failures, deaths FROM job WHERE id = %s", job.id)[0]
    return found.state, found.attempt, found.failures, found.deaths


def claimed(miner: Miner, stage: str = "download") -> Job:
    """The next job of a stage, which is there."""
    job = miner.claim([stage])
    assert job is not None
    return job


def sweep(miner: Miner) -> int:
    """Take back what is expired now, as if the server had run for long."""
    return miner.ledger.with_retry(lambda cursor: jobs.sweep(cursor, lease_s=0))


def test_two_claims_give_two_jobs_in_data_order(miner: Miner) -> None:
    first, second = claimed(miner), claimed(miner)
    assert [first.video_id, second.video_id] == ["local:a", "local:b"]
    assert miner.claim(["download"]) is None


def test_expired_lease_returns_the_job(miner: Miner) -> None:
    job = claimed(miner)
    assert sweep(miner) == 0
    run_sql(miner.ledger, "UPDATE job SET expires_at = now() - interval '1 s' WHERE id = %s", job.id)
    assert sweep(miner) == 1
    again = claimed(miner)
    assert (again.id, again.attempt) == (job.id, job.attempt + 1)
    assert row_of(miner, again) == ("running", 2, 0, 0)  # an expired lease counts as nobody's failure


def test_a_zombie_that_wakes_changes_nothing(miner: Miner) -> None:
    zombie = claimed(miner)
    run_sql(miner.ledger, "UPDATE job SET expires_at = now() - interval '1 s'")
    sweep(miner)
    heir = claimed(miner)
    before = row_of(miner, heir)
    assert miner.finish(zombie) == "lost"
    with pytest.raises(LeaseLostError):
        miner.fail(zombie, NeverError("unreadable"))
    with miner.ledger.transaction() as cursor:
        assert not jobs.release(cursor, zombie)
        assert jobs.heartbeat(cursor, [(zombie, 5, True), (heir, 1, True)]) == {heir.id}
        assert not jobs.is_done_by(cursor, zombie)
    assert row_of(miner, heir) == before
    assert not rows(miner.ledger, """SELECT FROM "fetch" WHERE fetched_at IS NOT NULL""")
    assert miner.finish(heir) == "done"


def test_an_old_attempt_with_the_right_lease_is_refused(miner: Miner) -> None:
    job = claimed(miner)
    assert miner.finish(replace(job, attempt=job.attempt - 1)) == "lost"
    assert miner.finish(replace(job, lease=uuid.uuid4())) == "lost"
    assert miner.finish(job) == "done"


def test_a_finish_past_the_expiry_counts_as_long_as_nobody_took_the_job(miner: Miner) -> None:
    job = claimed(miner)
    run_sql(miner.ledger, "UPDATE job SET expires_at = now() - interval '1 hour'")
    assert miner.finish(job) == "done"
    assert row_of(miner, job)[0] == "done"


def test_nothing_expires_within_one_lease_of_the_servers_start(miner: Miner) -> None:
    job = claimed(miner)
    run_sql(miner.ledger, "UPDATE job SET expires_at = now() - interval '1 hour'")
    uptime_s = rows(miner.ledger, "SELECT extract(epoch FROM now() - pg_postmaster_start_time()) AS s")[0].s
    just_started = float(uptime_s) + 60
    assert miner.ledger.with_retry(lambda cursor: jobs.sweep(cursor, lease_s=just_started)) == 0
    with miner.ledger.transaction() as cursor:  # the worker is still there and says so
        assert jobs.heartbeat(cursor, [(job, 1, True)]) == {job.id}
    assert sweep(miner) == 0


def test_a_mass_expiry_costs_no_work_of_those_who_come_back_in_time(miner: Miner) -> None:
    held = [claimed(miner), claimed(miner)]
    run_sql(miner.ledger, "UPDATE job SET expires_at = now() - interval '1 hour'")
    assert [miner.finish(job) for job in held] == ["done", "done"]
    assert sweep(miner) == 0


def test_hung_work_is_given_to_another_though_its_worker_lives(miner: Miner) -> None:
    job = claimed(miner)
    run_sql(miner.ledger, "UPDATE job SET progress_at = now() - make_interval(secs => %s)", jobs.HUNG_S + 1)
    with miner.ledger.transaction() as cursor:
        assert jobs.heartbeat(cursor, [(job, 0, False)]) == {job.id}  # alive, but not a step further
    assert sweep(miner) == 1
    assert claimed(miner).id == job.id


def test_progress_and_the_start_of_work_keep_a_slow_job(miner: Miner) -> None:
    job = claimed(miner)
    for progress, is_started in ((0, True), (1, True)):  # it was loaded ahead for long; then it moves
        run_sql(miner.ledger, "UPDATE job SET progress_at = now() - make_interval(secs => %s)", jobs.HUNG_S + 1)
        with miner.ledger.transaction() as cursor:
            jobs.heartbeat(cursor, [(job, progress, is_started)])
        assert sweep(miner) == 0


def test_a_retry_sleeps_until_its_time_and_is_woken_by_the_sweep(miner: Miner) -> None:
    job = claimed(miner)
    other = claimed(miner)
    assert miner.fail(job, LaterError("error")) == "retry"
    assert row_of(miner, job) == ("waiting", 1, 1, 0)
    assert miner.claim(["download"]) is None
    assert sweep(miner) == 0
    run_sql(miner.ledger, "UPDATE job SET not_before = now() - interval '1 ms' WHERE id = %s", job.id)
    assert sweep(miner) == 1
    assert claimed(miner).id == job.id
    assert miner.finish(other) == "done"


def test_five_failures_kill_a_job_and_a_success_forgives(miner: Miner) -> None:
    events = []
    for _ in range(jobs.MOST_FAILURES):
        job = claimed(miner)
        events.append(miner.fail(job, SmallerError("out_of_memory", "even one picture")))
        run_sql(miner.ledger, "UPDATE job SET not_before = NULL")
    assert events == ["retry"] * 4 + ["dead"]
    dead = rows(miner.ledger, "SELECT state, reason, detail FROM job WHERE id = %s", job.id)[0]
    assert tuple(dead) == ("dead", "out_of_memory", "even one picture")
    kept = rows(miner.ledger, "SELECT attempt, event, reason FROM job_event WHERE job_id = %s ORDER BY at", job.id)
    assert [(row.attempt, row.event) for row in kept] == [(n + 1, event) for n, event in enumerate(events)]
    other = claimed(miner)
    assert other.id != job.id
    miner.fail(other, LaterError("error"))
    run_sql(miner.ledger, "UPDATE job SET not_before = NULL")
    miner.finish(claimed(miner))
    assert row_of(miner, other) == ("done", 2, 0, 0)


def test_a_full_disk_waits_for_a_person_and_costs_nothing(miner: Miner) -> None:
    for _ in range(jobs.MOST_FAILURES + 1):
        job = claimed(miner)
        assert miner.fail(job, LaterError("disk_full")) == "retry"
        run_sql(miner.ledger, "UPDATE job SET not_before = NULL")
    assert row_of(miner, job) == ("waiting", jobs.MOST_FAILURES + 1, 0, 0)


def test_what_cannot_help_is_not_tried_again(miner: Miner) -> None:
    job = claimed(miner)
    assert miner.fail(job, NeverError("unreadable", "no video stream")) == "dead"
    assert row_of(miner, job) == ("dead", 1, 1, 0)


def test_dead_workers_give_back_at_once_and_only_started_work_counts_as_their_death(miner: Miner) -> None:
    at_work, ahead = claimed(miner), claimed(miner)
    with miner.ledger.transaction() as cursor:
        jobs.heartbeat(cursor, [(at_work, 1, True), (ahead, 0, False)])
        assert [row.pid for row in jobs.living_workers(cursor, "here")] == [1]
        assert jobs.release_workers(cursor, [miner.id], by_own_work=True) == 2
        assert not jobs.living_workers(cursor, "here")
    assert row_of(miner, at_work) == ("waiting", 1, 0, 1)
    assert row_of(miner, ahead) == ("waiting", 1, 0, 0)


def test_a_death_of_the_node_counts_against_no_job(miner: Miner) -> None:
    job = claimed(miner)
    with miner.ledger.transaction() as cursor:
        jobs.heartbeat(cursor, [(job, 1, True)])
        jobs.release_workers(cursor, [miner.id], by_own_work=False)
    assert row_of(miner, job) == ("waiting", 1, 0, 0)


def test_a_job_that_killed_a_worker_is_claimed_last_and_alone_and_dies_with_the_third(miner: Miner) -> None:
    killer = claimed(miner)
    for deaths in (1, 2, 3):
        with miner.ledger.transaction() as cursor:
            jobs.heartbeat(cursor, [(killer, 1, True)])
            jobs.release_workers(cursor, [miner.id], by_own_work=True)
        assert row_of(miner, killer)[3] == deaths
        if deaths == 1:
            other = claimed(miner)
            assert other.id != killer.id
            miner.finish(other)
        with miner.ledger.transaction() as cursor:
            assert jobs.claim(cursor, "download", "", miner.id, is_idle=False) is None
        if deaths < 3:
            killer = claimed(miner)
    assert tuple(rows(miner.ledger, "SELECT state, reason FROM job WHERE id = %s", killer.id)[0]) == (
        "dead",
        "killed_worker",
    )


def test_a_job_given_back_costs_nothing_and_may_be_delayed(miner: Miner) -> None:
    job = claimed(miner)
    with miner.ledger.transaction() as cursor:
        assert jobs.release(cursor, job, delay_s=60)
    assert row_of(miner, job) == ("waiting", 1, 0, 0)
    assert claimed(miner).id != job.id
    run_sql(miner.ledger, "UPDATE job SET not_before = now() WHERE id = %s", job.id)
    sweep(miner)
    assert claimed(miner).id == job.id


def test_the_backlog_counts_what_can_be_done_now(miner: Miner) -> None:
    job = claimed(miner)
    with miner.ledger.transaction() as cursor:
        assert [tuple(row) for row in jobs.backlog(cursor)] == [("download", "", 1, 1)]
    miner.fail(job, LaterError("error"))
    with miner.ledger.transaction() as cursor:
        assert [tuple(row) for row in jobs.backlog(cursor)] == [("download", "", 1, 0)]
