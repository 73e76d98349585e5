"""Load-ahead: claims and loads the next job while the current one computes."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data_miner.errors import UnreachableError
from data_miner.ledger.jobs import Job

log = logging.getLogger(__name__)

FIRST_POLL_S, LONGEST_POLL_S = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A claimed job with its input, or with what loading it threw."""

    job: Job
    work: Any = None
    error: Exception | None = None


class Ahead:
    """A daemon thread that keeps at most one loaded job ready.

    A job that killed a worker is claimed when nothing else is in hand, and nothing is claimed beside it.
    """

    def __init__(self, claim: Callable[[bool], Job | None], load: Callable[[Job], Any]) -> None:
        self._claim, self._load = claim, load
        self._ready: queue.Queue[Loaded] = queue.Queue()
        self._room = threading.Semaphore(1)
        self._busy = threading.Event()  # the worker has a job in process
        self._alone = threading.Event()  # that job must be alone
        self._nudge = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-ahead", daemon=True)
        self._thread.start()

    def get(self, timeout_s: float) -> Loaded | None:
        """The next loaded job; None when there is none within `timeout_s`."""
        self._busy.clear()
        self._alone.clear()
        self._nudge.set()
        try:
            loaded = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._busy.set()
        if loaded.job.deaths > 0:
            self._alone.set()
        self._room.release()
        return loaded

    def nudge(self) -> None:
        """There may be work: look now."""
        self._nudge.set()

    def close(self) -> list[Job]:
        """Stop claiming; returns the jobs that were claimed and not taken."""
        self._stop.set()
        self._nudge.set()
        self._room.release()
        self._thread.join(timeout=60)
        left = []
        while not self._ready.empty():
            left.append(self._ready.get_nowait().job)
        return left

    def _run(self) -> None:
        poll_s = FIRST_POLL_S
        while not self._stop.is_set():
            self._room.acquire()
            job = self._next(poll_s)
            if job is None:
                self._room.release()
                self._nudge.wait(poll_s)
                self._nudge.clear()
                poll_s = min(2 * poll_s, LONGEST_POLL_S)
                continue
            poll_s = FIRST_POLL_S
            self._ready.put(self._loaded(job))

    def _next(self, poll_s: float) -> Job | None:
        if self._stop.is_set() or self._alone.is_set():
            return None
        try:
            return self._claim(not self._busy.is_set())
        except UnreachableError as error:
            log.warning("waiting for the database: %s", error)
            self._stop.wait(1.0)
            return None

    def _loaded(self, job: Job) -> Loaded:
        try:
            return Loaded(job, self._load(job))
        except Exception as error:
            return Loaded(job, error=error)
