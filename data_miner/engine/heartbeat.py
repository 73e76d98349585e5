"""Heartbeats: keeps the leases of what a worker holds, and learns which of them are lost."""

import contextlib
import logging
import threading

from data_miner.errors import LeaseLostError, UnreachableError
from data_miner.ledger import jobs
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job

log = logging.getLogger(__name__)


class Heartbeat:
    """A daemon thread that renews leases four times a lease length; the jobs' progress goes with it."""

    def __init__(self, ledger: Ledger, lease_s: float) -> None:
        self._ledger, self._lease_s = ledger, lease_s
        self._held: dict[int, Job] = {}
        self._progress: dict[int, int] = {}
        self._started: set[int] = set()
        self._lost: set[int] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def hold(self, job: Job) -> None:
        """Keep this job's lease."""
        with self._lock:
            self._held[job.id], self._progress[job.id] = job, 0
            self._lost.discard(job.id)

    def start(self, job: Job) -> None:
        """The job is in process from now on: should the worker die, it died of this one. Raises LeaseLostError."""
        with self._lock:
            is_new = job.id not in self._started
            self._started.add(job.id)
        if is_new:
            self._beat_through_outages()
        self._raise_if_lost(job)

    def beat(self, job: Job, progress: int) -> None:
        """The job moved. Raises LeaseLostError when it is known to be another's: no more work for nothing."""
        with self._lock:
            if job.id in self._held:
                self._progress[job.id] = max(self._progress[job.id] + 1, progress)
        self._raise_if_lost(job)

    def drop(self, job: Job) -> None:
        """The job is ended, well or not."""
        with self._lock:
            self._held.pop(job.id, None)
            self._progress.pop(job.id, None)
            self._started.discard(job.id)
            self._lost.discard(job.id)

    def close(self) -> None:
        """Stop renewing."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(self._lease_s / 4):
            try:
                self._beat_through_outages()
            except Exception:
                log.exception("a heartbeat failed")  # the next one may not; without any all leases go

    def _beat_through_outages(self) -> None:
        # An outage is nobody's fault: the lease is renewed when the database is back, the finish decides.
        with contextlib.suppress(UnreachableError):
            self._beat()

    def _beat(self) -> None:
        with self._lock:
            held = [(job, self._progress[job.id], job.id in self._started) for job in self._held.values()]
        if not held:
            return
        with self._ledger.transaction() as cursor:
            ours = jobs.heartbeat(cursor, held, self._lease_s)
        lost = {job.id: job.attempt for job, _, _ in held if job.id not in ours}
        if lost:
            self._give_up(lost)

    def _give_up(self, lost: dict[int, int]) -> None:
        with self._lock:  # a finish beside us ends a lease too: only what is still held was lost
            gone = [id for id, attempt in lost.items() if id in self._held and self._held[id].attempt == attempt]
            self._lost.update(gone)
        if gone:
            log.info("leases lost", extra={"jobs": sorted(gone)})

    def _raise_if_lost(self, job: Job) -> None:
        if job.id in self._lost:
            raise LeaseLostError(f"job {job.id} attempt {job.attempt} is not ours any more")
