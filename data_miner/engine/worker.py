"""The worker: claims, loads ahead, processes, commits. A plain class; nothing here knows Ray."""

import errno
import logging
import os
import shutil
import threading
import time
from typing import Any

from data_miner.engine.ahead import Ahead, Loaded
from data_miner.engine.assignment import Assignment
from data_miner.engine.heartbeat import Heartbeat
from data_miner.engine.process import identity
from data_miner.errors import (
    DataMinerError,
    JobError,
    LaterError,
    LeaseLostError,
    NotNowError,
    SmallerError,
    UnreachableError,
)
from data_miner.ledger import bell, jobs, stats, successors
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.observe import logs
from data_miner.stages.base import Node, Outcome, Runner
from data_miner.stages.pipeline import STAGES

log = logging.getLogger(__name__)

_PAUSED_BY_A_FULL_DISK = frozenset({"download", "extract"})
_EARLY_S = 0.5  # until a job that came too early is looked at again
_SWEEP_S = 5.0  # between two sweeps of one worker that finds nothing to do
_LOOK_S = 5.0  # an idle worker wakes by a job or by stop(); this is only for safety
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class Worker:
    """One process of a pool. `run` works until `stop` is called from another thread."""

    def __init__(self, assignment: Assignment) -> None:
        self._own = assignment
        self._stop, self._is_open = threading.Event(), threading.Event()
        self._runners: dict[str, Runner] = {}
        self._heartbeat: Heartbeat | None = None
        self._ahead: Ahead | None = None
        self._swept_at = time.monotonic()
        # Before torch or OpenCV are imported: they read it once. OpenVINO is told by models/yolo.py.
        for name in _THREAD_SETTINGS:
            os.environ[name] = str(assignment.threads)

    def run(self) -> str:
        """Work until stopped; returns how it ended. Raises ModelError when the stage cannot be opened."""
        own = self._own
        if own.logs is not None:
            logs.setup(own.pool, own.logs, verbosity=None, loki_url=own.loki_url)
        own.store.ensure_identity(own.store_id)
        own.ledger.with_retry(
            lambda cursor: jobs.register_worker(cursor, own.worker_id, own.pool, identity()), stop=self._stop
        )
        try:
            self._open()
            self._work()
        finally:
            self._leave()
        return "drained"

    def opened(self) -> bool:
        """Wait until the stage is open: only from then on does this worker take jobs."""
        return self._is_open.wait()

    def stop(self) -> None:
        """Finish the job in process, give back the rest, and end."""
        self._stop.set()
        if self._ahead is not None:
            self._ahead.wake()

    def nudge(self) -> None:
        """There may be work."""
        if self._ahead is not None:
            self._ahead.nudge()

    def _open(self) -> None:
        own = self._own
        node = Node(own.ledger, own.store, own.scratch, own.models, own.paces, own.device, own.threads)
        for name in own.stages:
            runtime = own.runtime if name == own.stages[-1] else {}
            self._runners[name] = STAGES[name].from_runtime(runtime).open(node)

    def _work(self) -> None:
        self._heartbeat = Heartbeat(self._own.ledger, self._own.lease_s)
        self._ahead = Ahead(self._claim, self._load, self._heartbeat.start)
        self._is_open.set()
        while not self._stop.is_set():
            loaded = self._ahead.get(timeout_s=_LOOK_S)
            if loaded is not None:
                self._handle(loaded, self._heartbeat)

    def _claim(self, is_idle: bool) -> Job | None:
        own, claimed = self._own, None
        with own.ledger.transaction() as cursor:
            for stage in own.stages:
                if stage in _PAUSED_BY_A_FULL_DISK and self._is_disk_full():
                    continue
                claimed = jobs.claim(cursor, stage, own.runtime_key, own.worker_id, is_idle, own.lease_s)
                if claimed is not None:
                    break
            if claimed is None and time.monotonic() - self._swept_at > _SWEEP_S:
                self._swept_at = time.monotonic()  # the supervisor does so too, but may be gone
                jobs.sweep(cursor)
        # Held once it is committed: the lease of a claim whose commit was cut must run out, or nobody does the job.
        if claimed is not None and self._heartbeat is not None:
            self._heartbeat.hold(claimed)
        return claimed

    def _load(self, job: Job) -> Any:
        return self._runners[job.stage].load(job)

    def _handle(self, loaded: Loaded, heartbeat: Heartbeat) -> None:
        job = loaded.job
        with logs.bound(stage=job.stage, job=str(job.id), video=str(job.video_id or "")):
            try:
                if loaded.error is not None:
                    raise loaded.error
                self._process(job, loaded.work, heartbeat)
            except Exception as error:
                self._failed(job, error)
            finally:
                heartbeat.drop(job)

    def _process(self, job: Job, work: Any, heartbeat: Heartbeat) -> None:
        heartbeat.start(job)
        started = time.monotonic()
        outcome = self._runners[job.stage].process(job, work, lambda n: heartbeat.beat(job, n))
        processed = time.monotonic()
        self._commit(job, outcome)
        seconds = {**outcome.seconds, "process": processed - started, "commit": time.monotonic() - processed}
        log.info("done", extra={"items": outcome.items, "reason": outcome.reason, "seconds": seconds})
        own = self._own
        stats.record(own.ledger, job, own.worker_id, own.device, outcome.items, outcome.size_bytes, seconds)

    def _commit(self, job: Job, outcome: Outcome) -> None:
        def finish(cursor: Cursor) -> None:
            jobs.lock(cursor, job)
            self._runners[job.stage].save(cursor, job, outcome)
            jobs.finish(cursor, job, outcome.reason)
            successors.derive_after(cursor, job.project_id, job.video_id, job.stage)
            bell.ring(cursor)

        try:
            # Through an outage for as long as it takes: the work is done, only its commit is not.
            self._own.ledger.with_retry(finish)
        except LeaseLostError:
            # After a connection broke in the commit nobody knows; the job itself tells.
            if not self._own.ledger.with_retry(lambda cursor: jobs.is_done_by(cursor, job)):
                raise

    def _failed(self, job: Job, error: Exception) -> None:
        match error:
            case LeaseLostError():
                log.warning("result thrown away: %s", error)
            case NotNowError() | UnreachableError():
                log.info("given back: %s", error)
                self._give_back(job, _EARLY_S)
            case _:
                failure = _as_job_error(error)
                log.warning("failed: %s", failure, exc_info=not isinstance(error, DataMinerError))
                self._fail(job, failure)

    def _fail(self, job: Job, failure: JobError) -> None:
        def write(cursor: Cursor) -> None:
            jobs.fail(cursor, job, failure, self._own.worker_id)
            successors.derive_after(cursor, job.project_id, job.video_id)
            bell.ring(cursor)

        try:
            self._own.ledger.with_retry(write)
        except LeaseLostError as lost:
            log.info("%s", lost)

    def _give_back(self, job: Job, delay_s: float = 0) -> None:
        self._own.ledger.with_retry(lambda cursor: jobs.release(cursor, job, delay_s))

    def _leave(self) -> None:
        for job in self._ahead.close() if self._ahead is not None else []:
            self._give_back(job)
        if self._heartbeat is not None:
            self._heartbeat.close()
        for runner in self._runners.values():
            runner.close()
        try:
            self._own.ledger.with_retry(lambda cursor: jobs.worker_left(cursor, self._own.worker_id), deadline_s=5)
        except UnreachableError as error:
            log.info("left without a word: %s", error)

    def _is_disk_full(self) -> bool:
        least = self._own.min_free_bytes
        if least <= 0:
            return False
        in_store = self._own.store.free_bytes()
        return shutil.disk_usage(self._own.scratch).free < least or (in_store is not None and in_store < least)


def _as_job_error(error: Exception) -> JobError:
    match error:
        case JobError():
            # PostgreSQL refuses NUL in text, and decoders quote what they found in a file.
            return type(error)(error.reason, error.detail.replace("\0", "")) if "\0" in error.detail else error
        case MemoryError():
            return SmallerError("out_of_memory", str(error))
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return LaterError("disk_full", str(error))
        case _:
            return LaterError("error", f"{type(error).__name__}: {error}".replace("\0", ""))
