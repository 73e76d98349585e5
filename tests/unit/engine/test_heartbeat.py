"""Leases kept and lost, on a real ledger."""

import time
from collections.abc import Iterator

import pytest

from data_miner.engine.heartbeat import Heartbeat
from data_miner.errors import LeaseLostError
from data_miner.ledger import jobs
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from tests.support.ledger import Miner, World, register, rows, run_sql

LEASE_S = 0.4


@pytest.fixture
def miner(database: Ledger) -> Miner:
    """A worker with one expand job to claim."""
    world = World({"search": ["v"]})
    register(database, world)
    return Miner(database, world)


@pytest.fixture
def heartbeat(database: Ledger) -> Iterator[Heartbeat]:
    """A heartbeat of short leases."""
    beating = Heartbeat(database, LEASE_S)
    yield beating
    beating.close()


def _claimed(miner: Miner) -> Job:
    job = miner.claim(lease_s=LEASE_S)
    assert job is not None
    return job


def _is_living(ledger: Ledger) -> bool:
    found = rows(ledger, "SELECT expires_at > now() AS is_living FROM job WHERE state = 'running'")
    return bool(found and found[0].is_living)


def test_a_held_lease_outlives_its_length(miner: Miner, heartbeat: Heartbeat, database: Ledger) -> None:
    heartbeat.hold(_claimed(miner))
    time.sleep(3 * LEASE_S)
    assert _is_living(database)


def test_a_dropped_lease_runs_out(miner: Miner, heartbeat: Heartbeat, database: Ledger) -> None:
    job = _claimed(miner)
    heartbeat.hold(job)
    heartbeat.drop(job)
    time.sleep(1.5 * LEASE_S)
    assert not _is_living(database)


def test_a_start_is_known_to_the_ledger_before_the_work_begins(
    miner: Miner, heartbeat: Heartbeat, database: Ledger
) -> None:
    job = _claimed(miner)
    heartbeat.hold(job)
    heartbeat.start(job)
    assert rows(database, "SELECT is_started FROM job WHERE id = %s", job.id)[0].is_started


def test_progress_reaches_the_ledger(miner: Miner, heartbeat: Heartbeat, database: Ledger) -> None:
    job = _claimed(miner)
    heartbeat.hold(job)
    heartbeat.beat(job, 7)
    time.sleep(LEASE_S)
    assert rows(database, "SELECT progress FROM job WHERE id = %s", job.id)[0].progress == 7


def test_work_on_a_lost_lease_stops_at_its_next_beat(miner: Miner, heartbeat: Heartbeat, database: Ledger) -> None:
    job = _claimed(miner)
    heartbeat.hold(job)
    with database.transaction() as cursor:
        jobs.release_workers(cursor, [miner.id], by_own_work=False)
    with pytest.raises(LeaseLostError):
        heartbeat.start(job)
    with pytest.raises(LeaseLostError):
        heartbeat.beat(job, 1)


def test_a_failed_beat_does_not_end_the_others(
    miner: Miner, heartbeat: Heartbeat, database: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat.hold(_claimed(miner))
    run_sql(database, "ALTER TABLE job RENAME COLUMN progress TO elsewhere")
    time.sleep(LEASE_S)
    assert "a heartbeat failed" in caplog.text
    run_sql(database, "ALTER TABLE job RENAME COLUMN elsewhere TO progress")
    time.sleep(1.5 * LEASE_S)
    assert _is_living(database)
