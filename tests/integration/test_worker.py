"""The worker's class itself, in a thread, against a real ledger: failures, leases, outages, drains."""

import errno
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from data_miner.engine import worker as worker_module
from data_miner.engine.worker import Worker
from data_miner.errors import (
    LaterError,
    ModelError,
    NeverError,
    NotNowError,
    SmallerError,
    UnreachableError,
)
from data_miner.ledger import jobs
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from data_miner.stages.pipeline import STAGES
from tests.support.engine import WORLD, made, order, workplace
from tests.support.ledger import Effect, Miner, register, rows, run_sql
from tests.support.postgres import Server

DEADLINE_S = 20.0


class Bench:
    """Three fetched videos with nine segments to extract, and workers for them."""

    def __init__(self, ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger, self._monkeypatch = ledger, monkeypatch
        self.place = workplace(ledger, folder)
        register(ledger, WORLD)
        Miner(ledger, WORLD).run(("expand", "download"))
        self._workers: list[tuple[Worker, threading.Thread]] = []
        self.raised: list[BaseException] = []

    def start(self, effect: Effect | None = None) -> Worker:
        """Start a worker whose stage does `effect` first."""
        self._monkeypatch.setitem(STAGES, "extract", made("extract", effect))
        told = self.place.assignment(
            pool="extract", stages=("extract",), runtime_key="", runtime={}, threads=1, uses_gpu=False
        )
        worker = Worker(told)
        thread = threading.Thread(target=self._run, args=(worker,), daemon=True)
        self._workers.append((worker, thread))
        thread.start()
        return worker

    def end(self) -> None:
        """Stop every worker and wait."""
        for worker, _ in self._workers:
            worker.stop()
        for _, thread in self._workers:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def count(self, state: str, stage: str = "extract") -> int:
        """Jobs of a stage in a state."""
        return len(rows(self.ledger, "SELECT FROM job WHERE stage = %s AND state = %s", stage, state))

    def only(self, most: int) -> None:
        """Leave so many extract jobs, the first in order; the others are put aside."""
        statement = """UPDATE job SET state = 'superseded' WHERE stage = 'extract' AND id NOT IN
            (SELECT id FROM job WHERE stage = 'extract' ORDER BY ordinal, rank, start_ms LIMIT %s)"""
        run_sql(self.ledger, statement, most)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something."""
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, self.raised
            time.sleep(0.01)

    def _run(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:
            self.raised.append(error)


@pytest.fixture
def bench(database: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench whose workers are ended with the test."""
    made_bench = Bench(database, tmp_path / "data", monkeypatch)
    yield made_bench
    made_bench.end()


def _raising(error: BaseException) -> Effect:
    def effect(job: Job) -> None:
        raise error

    return effect


@pytest.mark.parametrize(
    ("error", "state", "reason", "failures", "is_later"),
    [
        (NeverError("unreadable", "no film"), "dead", "unreadable", 1, False),
        (NeverError("unreadable", "tag \0 of a file"), "dead", "unreadable", 1, False),
        (LaterError("network"), "waiting", "network", 1, True),
        (SmallerError("out_of_memory"), "waiting", "out_of_memory", 1, True),
        (MemoryError(), "waiting", "out_of_memory", 1, True),
        (OSError(errno.ENOSPC, "full"), "waiting", "disk_full", 0, True),
        (ValueError("a bug \0"), "waiting", "error", 1, True),
        (NotNowError("early"), "waiting", None, 0, True),
        (UnreachableError("store away"), "waiting", None, 0, True),
    ],
)
def test_an_error_means_what_its_class_says(
    error: Exception, state: str, reason: str | None, failures: int, is_later: bool, bench: Bench
) -> None:
    bench.only(1)
    bench.start(_raising(error))
    query = "SELECT * FROM job WHERE stage = 'extract' AND attempt = 1 AND state <> 'running'"
    bench.until(lambda: bool(rows(bench.ledger, query)))
    found = rows(bench.ledger, query)[0]
    assert (found.state, found.reason, found.failures) == (state, reason, failures)
    assert (found.not_before is not None) == is_later


def test_every_job_is_done_once(bench: Bench) -> None:
    done: list[int] = []
    bench.start(lambda job: done.append(job.id))
    bench.start(lambda job: done.append(job.id))
    bench.until(lambda: bench.count("done") == 9)
    assert len(done) == len(set(done)) == 9
    assert bench.count("waiting", "filter") == 9


def test_a_result_is_thrown_away_when_the_job_was_given_to_another(bench: Bench) -> None:
    is_in, may_end = threading.Event(), threading.Event()

    def effect(job: Job) -> None:
        is_in.set()
        assert may_end.wait(DEADLINE_S)

    bench.only(1)
    worker = bench.start(effect)
    assert is_in.wait(DEADLINE_S)
    other = Miner(bench.ledger, WORLD)
    with bench.ledger.transaction() as cursor:
        jobs.release_workers(cursor, [worker._own.worker_id], by_own_work=False)
        taken = jobs.claim(cursor, "extract", "", other.id)
    assert taken is not None and taken.attempt == 2
    may_end.set()
    bench.end()
    assert bench.count("running") == 1, "the zombie ended another's job"
    assert rows(bench.ledger, "SELECT FROM segment WHERE shard IS NOT NULL") == []
    assert other.finish(taken) == "done"


def test_a_commit_waits_for_the_database_to_come_back(bench: Bench, postgres_server: Server) -> None:
    is_away = threading.Event()

    def effect(job: Job) -> None:
        if not is_away.is_set():
            postgres_server.postgres.stop()
            is_away.set()
        time.sleep(0.3)

    bench.start(effect)
    assert is_away.wait(DEADLINE_S)
    time.sleep(1)
    postgres_server.postgres.ensure()
    bench.until(lambda: bench.count("done") == 9)
    assert {row.failures for row in rows(bench.ledger, "SELECT failures FROM job")} == {0}
    assert bench.raised == []


def test_a_commit_that_was_cut_and_took_place_counts_as_done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.only(1)
    commits: list[str] = []

    def cut_after(cursor: psycopg.Cursor[object]) -> None:
        """The connection breaks after the server has committed, before the client hears of it."""
        if not commits:
            cursor.connection.commit()
            commits.append("cut")
            raise UnreachableError("cut in the commit")

    monkeypatch.setattr(worker_module.bell, "ring", cut_after)
    bench.start()
    bench.until(lambda: bench.count("done") == 1)
    bench.end()
    assert commits == ["cut"]
    assert [
        row.attempt for row in rows(bench.ledger, "SELECT attempt FROM job WHERE state = 'done' AND stage = 'extract'")
    ] == [1]
    assert len(rows(bench.ledger, "SELECT FROM batch_stat")) == 1, "the worker took its own success for a loss"


def test_draining_ends_the_job_in_process_and_gives_back_the_one_ahead(bench: Bench) -> None:
    is_in, may_end = threading.Event(), threading.Event()

    def effect(job: Job) -> None:
        is_in.set()
        assert may_end.wait(DEADLINE_S)

    worker = bench.start(effect)
    assert is_in.wait(DEADLINE_S)
    bench.until(lambda: bench.count("running") == 2)
    worker.stop()
    may_end.set()
    bench.end()
    assert (bench.count("done"), bench.count("running"), bench.count("waiting")) == (1, 0, 8)
    back = rows(bench.ledger, "SELECT * FROM job WHERE stage = 'extract' AND state = 'waiting' AND attempt = 1")
    assert len(back) == 1 and back[0].failures == back[0].deaths == 0
    assert rows(bench.ledger, "SELECT FROM worker WHERE pool = 'extract' AND gone_at IS NULL") == []


def test_an_idle_worker_leaves_at_once(bench: Bench) -> None:
    bench.only(0)
    worker = bench.start()
    assert worker.opened()
    started = time.monotonic()
    bench.end()
    assert time.monotonic() - started < 2


def test_a_job_that_killed_a_worker_is_processed_alone(bench: Bench) -> None:
    beside: dict[int, int] = {}

    def effect(job: Job) -> None:
        time.sleep(0.3)  # time enough to claim another
        beside[job.id] = bench.count("running") - 1

    bench.only(3)
    poison = rows(bench.ledger, "SELECT min(id) AS id FROM job WHERE stage = 'extract' AND state = 'waiting'")[0].id
    run_sql(bench.ledger, "UPDATE job SET deaths = 1 WHERE id = %s", poison)
    bench.start(effect)
    bench.until(lambda: bench.count("done") == 3)
    assert list(beside)[-1] == poison, "it comes last"
    assert beside[poison] == 0
    assert max(beside.values()) == 1, "others are loaded ahead"


def test_a_job_loaded_with_nothing_else_in_hand_answers_for_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def load(worker: Worker, job: Job) -> None:
        seen.append(rows(bench.ledger, "SELECT is_started FROM job WHERE id = %s", job.id)[0].is_started)

    monkeypatch.setattr(Worker, "_load", load)
    bench.only(1)
    bench.start()
    bench.until(lambda: bench.count("done") == 1)
    assert seen == [True], "a load that kills would be tried for ever"


def test_a_stage_that_cannot_be_opened_ends_the_worker_with_its_error(bench: Bench) -> None:
    order(bench.place.settings.scratch, extract="broken")
    bench.start()
    bench.until(lambda: bool(bench.raised))
    assert isinstance(bench.raised[0], ModelError)
    assert rows(bench.ledger, "SELECT FROM worker WHERE pool = 'extract' AND gone_at IS NULL") == []


def test_a_worker_without_its_store_takes_no_job(bench: Bench) -> None:
    (Path(bench.place.settings.store) / ".data-miner-store").write_text(uuid.uuid4().hex)
    bench.start()
    bench.until(lambda: bool(bench.raised))
    assert isinstance(bench.raised[0], UnreachableError)
    assert bench.count("waiting") == 9


def test_a_claim_that_breaks_ends_the_worker_and_its_job_goes_on(bench: Bench) -> None:
    def effect(job: Job) -> None:
        run_sql(bench.ledger, "ALTER TABLE site RENAME TO elsewhere")
        bench.until(lambda: worker._ahead is not None and worker._ahead._broken is not None)
        run_sql(bench.ledger, "ALTER TABLE elsewhere RENAME TO site")

    bench.only(1)
    worker = bench.start(effect)
    bench.until(lambda: bool(bench.raised))
    assert isinstance(bench.raised[0], psycopg.errors.UndefinedTable)
    assert bench.count("done") == 1


def test_a_full_disk_pauses_extraction_and_hurts_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    is_full = threading.Event()
    is_full.set()
    monkeypatch.setattr(Worker, "_is_disk_full", lambda worker: is_full.is_set())
    worker = bench.start()
    assert worker.opened()
    time.sleep(0.5)
    assert bench.count("waiting") == 9
    is_full.clear()
    worker.nudge()
    bench.until(lambda: bench.count("done") == 9)
