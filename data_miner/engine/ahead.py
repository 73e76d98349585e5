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
    `on_alone` hears of a job that is loaded while nothing else is in hand: should the worker die now, it died
    of this one.
    """

    def __init__(
        self,
        claim: Callable[[bool], Job | None],
        load: Callable[[Job], Any],
        on_alone: Callable[[Job], None] = lambda job: None,
    ) -> None:
        self._claim, self._load, self._on_alone = claim, load, on_alone
        self._ready: queue.Queue[Loaded | None] = queue.Queue()
        self._room = threading.Semaphore(1)
        self._busy = threading.Event()  # the worker has a job in process
        self._alone = threading.Event()  # that job must be alone
        self._nudge = threading.Event()
        self._stop = threading.Event()
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="load-ahead", daemon=True)
        self._thread.start()

    def get(self, timeout_s: float) -> Loaded | None:
        """The next loaded job; None when there is none within `timeout_s`, or after wake().

        Raises what ended the claiming: a thread that dies unheard would leave a worker idle for good.
        """
        self._busy.clear()
        self._alone.clear()
        self._nudge.set()
        try:
            loaded = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            loaded = None
        if self._broken is not None:
            raise self._broken
        if loaded is None:
            return None
        self._busy.set()
        if loaded.job.deaths > 0:
            self._alone.set()
        self._room.release()
        return loaded

    def nudge(self) -> None:
        """There may be work: look now."""
        self._nudge.set()

    def wake(self) -> None:
        """Let get() return at once."""
        self._ready.put(None)

    def close(self) -> list[Job]:
        """Stop claiming; returns the jobs that were claimed and not taken."""
        self._stop.set()
        self._nudge.set()
        self._room.release()
        self._thread.join(timeout=60)
        left = []
        while not self._ready.empty():
            loaded = self._ready.get_nowait()
            if loaded is not None:
                left.append(loaded.job)
        return left

    def _run(self) -> None:
        try:
            self._keep_ready()
        except Exception as error:
            self._broken = error
            self.wake()

    def _keep_ready(self) -> None:
        poll_s = FIRST_POLL_S
        while not self._stop.is_set():
            self._room.acquire()
            job = self._next()
            if job is None:
                self._room.release()
                self._nudge.wait(poll_s)
                self._nudge.clear()
                poll_s = min(2 * poll_s, LONGEST_POLL_S)
                continue
            poll_s = FIRST_POLL_S
            self._ready.put(self._loaded(job))

    def _next(self) -> Job | None:
        if self._stop.is_set() or self._alone.is_set():
            return None
        try:
            return self._claim(not self._busy.is_set())
        except UnreachableError as error:
            log.warning("waiting for the database: %s", error)
            self._stop.wait(1.0)
            return None

    def _loaded(self, job: Job) -> Loaded:
        if self._stop.is_set():
            return Loaded(job)  # given back at once
        try:
            if not self._busy.is_set():
                self._on_alone(job)
            return Loaded(job, self._load(job))
        except Exception as error:
            return Loaded(job, error=error)
