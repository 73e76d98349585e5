"""Load-ahead, with jobs that only have a name."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from data_miner.engine.ahead import Ahead, Loaded
from data_miner.errors import LaterError, UnreachableError
from data_miner.ledger.jobs import Job


def _job(number: int, deaths: int = 0) -> Job:
    return Job(number, "extract", 1, uuid.uuid4(), "k", None, None, None, None, None, None, 0, deaths)


class Queue:
    """Jobs in order; those that killed a worker are given only to an idle one, as the ledger's claim does."""

    def __init__(self, *jobs: Job) -> None:
        self.left = list(jobs)
        self.asked_idle: list[bool] = []

    def claim(self, is_idle: bool) -> Job | None:
        self.asked_idle.append(is_idle)
        for job in sorted(self.left, key=lambda job: job.deaths):
            if is_idle or job.deaths == 0:
                self.left.remove(job)
                return job
        return None


@contextmanager
def _ahead(ahead: Ahead) -> Iterator[Ahead]:
    try:
        yield ahead
    finally:
        ahead.close()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _taken(ahead: Ahead) -> Loaded:
    loaded = ahead.get(5)
    assert loaded is not None
    return loaded


def test_the_next_job_is_loaded_while_one_is_in_process() -> None:
    jobs, loaded = Queue(_job(1), _job(2), _job(3)), list[int]()
    with _ahead(Ahead(jobs.claim, lambda job: loaded.append(job.id))) as ahead:
        assert _taken(ahead).job.id == 1
        _until(lambda: loaded == [1, 2])
        time.sleep(0.1)
        assert loaded == [1, 2], "one ahead is enough"


def test_a_job_that_killed_a_worker_waits_until_nothing_else_is_in_hand() -> None:
    jobs = Queue(_job(1), _job(2, deaths=1))
    with _ahead(Ahead(jobs.claim, lambda job: None)) as ahead:
        assert _taken(ahead).job.id == 1
        _until(lambda: False in jobs.asked_idle)
        assert [job.id for job in jobs.left] == [2], "claimed beside another job"
        assert _taken(ahead).job.id == 2


def test_nothing_is_claimed_beside_a_job_that_killed_a_worker() -> None:
    jobs = Queue(_job(1, deaths=1))
    with _ahead(Ahead(jobs.claim, lambda job: None)) as ahead:
        assert _taken(ahead).job.id == 1
        jobs.left.append(_job(2))
        ahead.nudge()
        time.sleep(0.2)
        assert [job.id for job in jobs.left] == [2]
        assert _taken(ahead).job.id == 2


def test_a_job_that_is_loaded_alone_is_named_before_its_load_begins() -> None:
    jobs, told = Queue(_job(1), _job(2)), list[str]()
    load = lambda job: told.append(f"load {job.id}")  # noqa: E731
    with _ahead(Ahead(jobs.claim, load, lambda job: told.append(f"alone {job.id}"))) as ahead:
        _taken(ahead)
        _until(lambda: "load 2" in told)
    assert told == ["alone 1", "load 1", "load 2"]


def test_what_loading_throws_comes_with_the_job() -> None:
    def load(job: Job) -> None:
        raise LaterError("network", "store away")

    with _ahead(Ahead(Queue(_job(1)).claim, load)) as ahead:
        assert isinstance(_taken(ahead).error, LaterError)


def test_an_outage_is_waited_for() -> None:
    jobs, outage = Queue(_job(1)), [UnreachableError("away")]

    def claim(is_idle: bool) -> Job | None:
        if outage:
            raise outage.pop()
        return jobs.claim(is_idle)

    with _ahead(Ahead(claim, lambda job: None)) as ahead:
        assert _taken(ahead).job.id == 1


def test_a_claim_that_breaks_ends_the_worker_instead_of_leaving_it_idle() -> None:
    def claim(is_idle: bool) -> Job | None:
        raise RuntimeError("a bug")

    with _ahead(Ahead(claim, lambda job: None)) as ahead, pytest.raises(RuntimeError, match="a bug"):
        ahead.get(5)


def test_closing_returns_what_was_claimed_and_not_taken() -> None:
    is_loaded = threading.Event()
    ahead = Ahead(Queue(_job(1), _job(2)).claim, lambda job: is_loaded.set())
    assert is_loaded.wait(5)
    _until(lambda: not ahead._ready.empty())
    assert [job.id for job in ahead.close()] == [1]


def test_wake_returns_at_once_with_nothing() -> None:
    with _ahead(Ahead(Queue().claim, lambda job: None)) as ahead:
        threading.Timer(0.05, ahead.wake).start()
        started = time.monotonic()
        assert ahead.get(10) is None
        assert time.monotonic() - started < 5
