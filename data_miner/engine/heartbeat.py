"""Heartbeats: keeps the leases of what a worker holds, and learns which of them are lost."""

import contextlib
import logging
import threading

from data_miner.errors import UnreachableError
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
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def hold(self, job: Job) -> None:
        """Keep this job's lease."""
        with self._lock:
            self._held[job.id], self._progress[job.id] = job, 0

    def start(self, job: Job) -> None:
        """The job is in process from now on: should the worker die, it died of this one."""
        with self._lock:
            self._started.add(job.id)
        self._beat()

    def beat(self, job: Job, progress: int) -> None:
        """The job moved."""
        with self._lock:
            if job.id in self._held:
                self._progress[job.id] = max(self._progress[job.id] + 1, progress)

    def drop(self, job: Job) -> None:
        """The job is ended, well or not."""
        with self._lock:
            self._held.pop(job.id, None)
            self._progress.pop(job.id, None)
            self._started.discard(job.id)

    def close(self) -> None:
        """Stop renewing."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(self._lease_s / 4):
            self._beat()

    def _beat(self) -> None:
        with self._lock:
            held = [(job, self._progress[job.id], job.id in self._started) for job in self._held.values()]
        if not held:
            return
        # An outage is nobody's fault: the lease is renewed when the database is back, the finish decides.
        with contextlib.suppress(UnreachableError), self._ledger.transaction() as cursor:
            lost = {job.id for job, _, _ in held} - jobs.heartbeat(cursor, held, self._lease_s)
            if lost:
                log.info("leases lost", extra={"jobs": sorted(lost)})
