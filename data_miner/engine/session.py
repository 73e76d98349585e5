"""One `run`: follows a project to its end, and supervises the database while nobody else does."""

import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from data_miner.engine.process import identity
from data_miner.engine.supervisor import EXPIRE_S, Supervisor
from data_miner.engine.workplace import Workplace
from data_miner.errors import UnreachableError
from data_miner.ledger import projects, status, successors
from data_miner.ledger.connection import Cursor
from data_miner.ledger.status import Progress

log = logging.getLogger(__name__)

TICK_S = 0.25
LOOK_S = 0.5  # between two looks at the project's progress
FOLLOW_S = 5.0


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
        self._me, self._followed_at, self._looked_at = uuid.uuid4(), 0.0, 0.0
        self._interrupts = 0
        self._wake = threading.Event()
        self._was_waiting = False

    def run(self) -> Ending:
        """Work until nothing of the project is left to do now, or a signal comes."""
        self._take_signals()
        ending: Ending | None = None
        try:
            while ending is None:
                ending = self._step()
                if ending is None:
                    self._wake.wait(TICK_S)
                    self._wake.clear()
        finally:
            self._leave()
        return ending

    def _step(self) -> Ending | None:
        try:
            if self._interrupts:
                return Ending(self._progress(), is_interrupted=True)
            self._follow()
            self._supervisor.tick()
            self._take_signals()  # Ray puts its own in place when it starts
            if self._supervisor.error is not None:
                raise self._supervisor.error
            return self._look()
        except UnreachableError as error:
            if self._revive is None and self._interrupts:
                raise
            log.warning("waiting for the database: %s", error)
            if self._revive is not None:
                self._revive()
            else:
                time.sleep(1.0)
            return None

    def _look(self) -> Ending | None:
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return None
        self._looked_at = now
        with self._place.ledger.transaction() as cursor:
            self._on_progress(cursor)
        progress = self._progress()
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

    def _progress(self) -> Progress:
        """What is left; before it says nothing is, everything is derived once more."""

        def look(cursor: Cursor) -> Progress:
            found = status.progress(cursor, self._project_id)
            if found.is_settled and successors.derive(cursor, self._project_id):
                found = status.progress(cursor, self._project_id)
            return found

        return self._place.ledger.with_retry(look, deadline_s=5)

    def _follow(self) -> None:
        now = time.monotonic()
        if now - self._followed_at > FOLLOW_S:
            self._followed_at = now
            with self._place.ledger.transaction() as cursor:
                projects.follow(cursor, self._me, self._project_id, self._config_hash, identity())

    def _leave(self) -> None:
        self._supervisor.close(is_urgent=self._interrupts > 1)
        try:
            self._place.ledger.with_retry(lambda cursor: projects.unfollow(cursor, self._me), deadline_s=2)
        except UnreachableError as error:
            log.info("left without a word: %s", error)

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._interrupted)
            signal.signal(signal.SIGTERM, self._interrupted)

    def _interrupted(self, signum: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        self._wake.set()
        if self._interrupts > 1:
            raise KeyboardInterrupt
        log.warning("draining: jobs in process are finished, the rest waits; once more stops at once")


def living_followers(cursor: Cursor, project_id: int) -> list[Any]:
    """Other runs that follow the project now: renewed lately, and not proven dead."""
    from data_miner.engine.process import host, is_gone

    return [
        row
        for row in projects.followers(cursor, project_id, EXPIRE_S)
        if row.is_renewed and not (row.host == host() and is_gone(row.pid, row.pid_started))
    ]
