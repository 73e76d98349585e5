"""A paused project: nothing of it begins, what other projects want goes on, and nothing is different afterwards."""

import random

import pytest

from data_miner.errors import LaterError, SiteError
from data_miner.ledger import jobs, projects, retry, sites, status
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from tests.support.ledger import Miner, World, register, rows, run_sql, state_of

WORLD = World({"one": ["a", "b", "c"], "two": ["d", "b"]})
AT_A_SITE = World({"one": ["a", "b", "c"]}, site="tube")


def pause(ledger: Ledger, project_id: int) -> bool:
    """As the command does."""
    return ledger.with_retry(lambda cursor: projects.pause(cursor, project_id))


def resume(ledger: Ledger, project_id: int) -> bool:
    """As the command does."""
    return ledger.with_retry(lambda cursor: projects.resume(cursor, project_id))


def wake(ledger: Ledger) -> None:
    """Let the time pass that retried jobs and a shut site's trial wait for."""
    run_sql(ledger, "UPDATE job SET not_before = now() WHERE not_before < 'infinity'")
    run_sql(ledger, "UPDATE site SET next_try = now() WHERE next_try IS NOT NULL")
    ledger.with_retry(lambda cursor: jobs.sweep(cursor))
    ledger.with_retry(sites.tick)


def backlog(ledger: Ledger) -> int:
    """Waiting jobs that pools are sized by."""
    return sum(row.waiting for row in ledger.with_retry(jobs.backlog))


def test_nothing_of_a_paused_project_begins_and_what_runs_ends(database: Ledger) -> None:
    project_id, miner = register(database, WORLD), Miner(database, WORLD)
    miner.run(["expand"])
    job = miner.claim(["download"])
    assert job is not None and pause(database, project_id)
    assert miner.claim() is None and backlog(database) == 0
    assert miner.finish(job) == "done"
    assert miner.claim() is None, "its successors wait too"
    found = database.with_retry(lambda cursor: status.progress(cursor, project_id))
    assert found.is_paused and not found.is_settled and found.outstanding == 3
    assert database.with_retry(projects.plans) == {}


def test_pausing_and_resuming_twice_changes_nothing(database: Ledger) -> None:
    project_id, miner = register(database, WORLD), Miner(database, WORLD)
    assert pause(database, project_id) and not pause(database, project_id)
    assert resume(database, project_id) and not resume(database, project_id)
    assert miner.claim(["expand"]) is not None


@pytest.mark.parametrize("seed", range(3))
def test_a_project_paused_and_resumed_at_any_moment_comes_to_the_same(
    database: Ledger, database_two: Ledger, seed: int
) -> None:
    register(database_two, WORLD)
    Miner(database_two, WORLD).run()
    chance, project_id, miner = random.Random(seed), register(database, WORLD), Miner(database, WORLD)
    held: list[Job] = []
    for _ in range(120):
        if chance.random() < 0.3:
            (pause if chance.random() < 0.5 else resume)(database, project_id)
        job = miner.claim()
        held += [job] if job is not None else []
        if held and (job is None or chance.random() < 0.5):
            miner.finish(held.pop())
    resume(database, project_id)
    for job in held:
        miner.finish(job)
    miner.run()
    assert state_of(database) == state_of(database_two)


def test_work_that_comes_back_while_its_project_rests_rests_too(database: Ledger) -> None:
    project_id, miner = register(database, WORLD), Miner(database, WORLD)
    miner.run(["expand"])
    failed, released, swept = (miner.claim(["download"]) for _ in range(3))
    assert failed and released and swept
    pause(database, project_id)
    assert miner.fail(failed, LaterError("network", "away")) == "retry"
    database.with_retry(lambda cursor: jobs.release(cursor, released))
    database.with_retry(lambda cursor: jobs.sweep(cursor, lease_s=0))
    run_sql(database, "UPDATE job SET expires_at = now() - interval '1 s' WHERE id = %s", swept.id)
    database.with_retry(lambda cursor: jobs.sweep(cursor, lease_s=0))
    wake(database)
    assert miner.claim() is None and backlog(database) == 0
    resume(database, project_id)
    again = {miner.claim(["download"]) for _ in range(4)}
    assert {job.failures for job in again if job is not None and job.id == failed.id} == {1}, "it is remembered"
    assert len(again) == 4 and None not in again


def test_a_revived_job_rests_until_its_project_goes_on(database: Ledger) -> None:
    project_id, miner = register(database, WORLD), Miner(database, WORLD)
    miner.run(["expand"])
    run_sql(database, "UPDATE job SET state = 'dead' WHERE stage = 'download'")
    pause(database, project_id)
    assert database.with_retry(lambda cursor: retry.revive(cursor, project_id)) == {("download", "error"): 4}
    assert miner.claim() is None
    resume(database, project_id)
    assert miner.claim(["download"]) is not None


def test_what_another_project_wants_goes_on(database: Ledger) -> None:
    resting, miner = register(database, WORLD, "resting"), Miner(database, WORLD)
    miner.run(["expand"])
    working = register(database, World({"one": WORLD.listings["one"]}), "working")
    pause(database, resting)
    miner.run()
    done = rows(database, "SELECT video_id, state FROM job WHERE stage = 'download' ORDER BY video_id")
    assert {row.video_id[-1]: row.state for row in done} == {
        "a": "done",
        "b": "done",
        "c": "done",
        "d": "waiting",
    }
    assert database.with_retry(lambda cursor: status.progress(cursor, working)).is_settled
    owners = {row.project_id for row in rows(database, "SELECT project_id FROM job WHERE stage = 'filter'")}
    assert owners == {working}


def test_a_project_that_comes_later_rouses_the_shared_work_of_a_resting_one(database: Ledger) -> None:
    resting, miner = register(database, WORLD, "resting"), Miner(database, WORLD)
    miner.run(["expand"])
    while miner.step(["download"]) and not rows(database, "SELECT FROM job WHERE stage = 'extract'"):
        pass
    pause(database, resting)
    assert miner.claim() is None
    later = register(database, WORLD, "later")
    miner.run()
    assert database.with_retry(lambda cursor: status.progress(cursor, later)).is_settled
    resume(database, resting)
    miner.run()
    filtered = rows(database, "SELECT DISTINCT project_id AS id FROM job WHERE stage = 'filter' AND state = 'done'")
    assert {row.id for row in filtered} == {resting, later}
    assert database.with_retry(lambda cursor: status.progress(cursor, resting)).is_settled


def test_a_shut_sites_trial_is_never_a_paused_projects(database: Ledger) -> None:
    project_id, miner = register(database, AT_A_SITE), Miner(database, AT_A_SITE)
    miner.run(["expand"])
    job = miner.claim(["download"])
    assert job is not None
    miner.fail(job, SiteError("bot_check", "are you a robot?"))
    pause(database, project_id)
    wake(database)
    assert miner.claim() is None
    states = {row.state for row in rows(database, "SELECT state FROM job WHERE stage = 'download'")}
    assert states == {"waiting"} and rows(database, "SELECT state FROM site")[0].state == "open"
    resume(database, project_id)
    assert miner.run() > 0
    assert database.with_retry(lambda cursor: status.progress(cursor, project_id)).is_settled


def test_a_trial_under_way_is_ended_though_its_project_rests(database: Ledger) -> None:
    project_id, miner = register(database, AT_A_SITE), Miner(database, AT_A_SITE)
    miner.run(["expand"])
    job = miner.claim(["download"])
    assert job is not None
    miner.fail(job, SiteError("bot_check", "are you a robot?"))
    wake(database)
    pause(database, project_id)
    assert miner.step(["download"]) == "done", "the trial itself"
    assert rows(database, "SELECT state FROM site")[0].state == "open"
    assert miner.claim() is None
