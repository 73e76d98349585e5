"""One `run`: follows a project to its end, and supervises the database while nobody else does."""

import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from data_miner.engine.listening import Listening
from data_miner.engine.process import identity
from data_miner.engine.supervisor import EXPIRE_S, Supervisor
from data_miner.engine.workplace import Workplace
from data_miner.errors import UnreachableError
from data_miner.ledger import projects, status, successors
from data_miner.ledger.connection import Cursor
from data_miner.ledger.status import Progress

log = logging.getLogger(__name__)

TICK_S = 1.0  # between two ticks when nothing is heard of; the bell brings the next one forward
LOOK_S = 0.5  # between two looks at the project's progress
FOLLOW_S = 5.0
_LEAST_GAP_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHARE = 10  # ticks and looks get at most a tenth of the time, however large the ledger is


@dataclass(frozen=True, slots=True)
class Ending:
    """How following a project ended."""

    progress: Progress
    is_interrupted: bool = False


class Session:
    """Follow one project. `revive` brings an embedded database back; None: the server is somebody else's."""

    def __init__(
        self,
        place: Workplace,
        supervisor: Supervisor,
        project_id: int,
        config_hash: str,
        *,
        revive: Callable[[], object] | None,
        on_progress: Callable[[Cursor], None],
        on_waiting: Callable[[Cursor], None],
        is_waiting_allowed: bool = True,
    ) -> None:
        self._place, self._supervisor, self._revive = place, supervisor, revive
        self._project_id, self._config_hash = project_id, config_hash
        self._on_progress, self._on_waiting = on_progress, on_waiting
        self._is_waiting_allowed = is_waiting_allowed
        self._me, self._followed_at, self._look_at = uuid.uuid4(), -FOLLOW_S, 0.0
        self._progress = Progress(0, 0, 0, 0)
        self._interrupts = 0
        self._wake, self._was_asked = threading.Event(), threading.Event()
        self._was_waiting = self._is_cut_off = self._is_resting = False

    def run(self) -> Ending:
        """Work until nothing of the project is left to do now, or a signal comes."""
        with self._signals_taken():
            listening = Listening(self._place.ledger, self._wake)
            self._supervisor.on_up(self._wake.set)
            try:
                return self._until_settled()
            finally:
                listening.close()
                self._leave()

    def _until_settled(self) -> Ending:
        while True:
            started = time.monotonic()
            ending = self._step()
            if ending is not None:
                return ending
            spent_s = time.monotonic() - started
            self._was_asked.wait(min(TICK_S, max(_LEAST_GAP_S, _SHARE * spent_s)))
            self._wake.wait(TICK_S)
            self._wake.clear()

    def _step(self) -> Ending | None:
        if self._interrupts:
            return Ending(self._progress, is_interrupted=True)
        try:
            self._take_signals()  # should Ray have put its own in place
            self._follow()
            self._supervisor.tick()
            found = self._look()
        except UnreachableError as error:
            log.log(logging.INFO if self._is_cut_off else logging.WARNING, "waiting for the database: %s", error)
            self._is_cut_off = True
            if self._revive is not None:
                self._revive()
            return None
        self._is_cut_off = False
        if self._supervisor.error is not None:
            raise self._supervisor.error
        return found

    def _look(self) -> Ending | None:
        started = time.monotonic()
        if started < self._look_at:
            return None
        with self._place.ledger.transaction() as cursor:
            self._on_progress(cursor)
        self._progress = progress = self._left()
        self._look_at = time.monotonic() + max(LOOK_S, _SHARE * (time.monotonic() - started))
        self._note_rest(progress.is_paused)
        if progress.is_paused and not self._is_waiting_allowed:
            return Ending(progress)
        if not progress.is_settled:
            self._was_waiting = False
            return None
        if progress.blocked == 0 or not self._is_waiting_allowed:
            return Ending(progress)
        if not self._was_waiting:
            self._was_waiting = True
            with self._place.ledger.transaction() as cursor:
                self._on_waiting(cursor)
        return None

    def _note_rest(self, is_paused: bool) -> None:
        if is_paused != self._is_resting:
            self._is_resting = is_paused
            log.warning(
                "paused: jobs in process are finished, the rest waits for `data-miner resume`"
                if is_paused
                else "resumed: going on"
            )

    def _left(self) -> Progress:
        """What is left; before it says nothing is, everything is derived once more."""

        def look(cursor: Cursor) -> Progress:
            found = status.progress(cursor, self._project_id)
            if found.is_settled and successors.derive(cursor, self._project_id):
                found = status.progress(cursor, self._project_id)
            return found

        return self._place.ledger.with_retry(look, deadline_s=5)

    def _follow(self) -> None:
        now = time.monotonic()
        if now - self._followed_at >= FOLLOW_S:
            self._followed_at = now
            with self._place.ledger.transaction() as cursor:
                projects.follow(cursor, self._me, self._project_id, self._config_hash, identity())

    def _leave(self) -> None:
        try:
            if self._revive is not None:
                with suppress(UnreachableError):
                    self._revive()  # 2 ms; without a database nothing in process can be committed
            self._supervisor.close(self._is_urgent)
        except KeyboardInterrupt:  # the second Ctrl-C, while we waited for something
            self._supervisor.close(lambda: True)
        with suppress(UnreachableError):
            self._place.ledger.with_retry(lambda cursor: projects.unfollow(cursor, self._me), deadline_s=2)

    def _is_urgent(self) -> bool:
        return self._interrupts > 1

    @contextmanager
    def _signals_taken(self) -> Iterator[None]:
        """Drain at the first SIGINT or SIGTERM; afterwards they mean again what they meant before."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._take_signals()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._interrupted)

    def _interrupted(self, signum: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        self._was_asked.set()
        self._wake.set()
        if self._interrupts == 1:
            log.warning("draining: jobs in process are finished, the rest waits; once more stops at once")
        elif self._interrupts == 2:
            raise KeyboardInterrupt  # whatever we wait for; a third changes nothing


def living_followers(cursor: Cursor, project_id: int) -> list[Any]:
    """Other runs that follow the project now: renewed lately, and not proven dead."""
    from data_miner.engine.process import host, is_gone

    return [
        row
        for row in projects.followers(cursor, project_id, EXPIRE_S)
        if row.is_renewed and not (row.host == host() and is_gone(row.pid, row.pid_started))
    ]
