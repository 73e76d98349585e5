"""One `run`: follows a project to its end, and supervises the database while nobody else does."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from data_miner.engine.process import identity
from data_miner.engine.shift import SHARE, Shift
from data_miner.engine.supervisor import EXPIRE_S, Supervisor
from data_miner.engine.workplace import Workplace
from data_miner.ledger import projects, status, successors
from data_miner.ledger.connection import Cursor
from data_miner.ledger.status import Progress

log = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks at the project's progress
FOLLOW_S = 5.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How following a project ended."""

    progress: Progress
    is_interrupted: bool = False


class Session(Shift):
    """Follow one project."""

    def __init__(
        self,
        place: Workplace,
        supervisor: Supervisor,
        project_id: int,
        config_hash: str,
        plan: Mapping[str, Any],
        *,
        revive: Callable[[], object] | None,
        on_progress: Callable[[Cursor], None],
        on_waiting: Callable[[Cursor], None],
        is_waiting_allowed: bool = True,
    ) -> None:
        super().__init__(place, supervisor, revive)
        self._project_id, self._config_hash, self._plan = project_id, config_hash, plan
        self._on_progress, self._on_waiting = on_progress, on_waiting
        self._is_waiting_allowed = is_waiting_allowed
        self._me, self._followed_at, self._look_at = uuid.uuid4(), -FOLLOW_S, 0.0
        self._progress = Progress(0, 0, 0, 0)
        self._was_waiting = self._is_resting = False

    def run(self) -> Ending:
        """Work until nothing of the project is left to do now, or a signal comes."""
        is_over = self._work()
        return Ending(self._progress, is_interrupted=not is_over)

    def _round(self) -> bool:
        self._follow()
        self._supervisor.tick()
        refusal = self._supervisor.refusal(self._plan)
        if refusal is not None:
            raise refusal
        return self._look()

    def _look(self) -> bool:
        started = time.monotonic()
        if started < self._look_at:
            return False
        with self._place.ledger.transaction() as cursor:
            self._on_progress(cursor)
        self._progress = progress = self._outstanding()
        self._look_at = time.monotonic() + max(LOOK_S, SHARE * (time.monotonic() - started))
        self._note_rest(progress.is_paused)
        if progress.is_paused and not self._is_waiting_allowed:
            return True
        if not progress.is_settled:
            self._was_waiting = False
            return False
        if progress.blocked == 0 or not self._is_waiting_allowed:
            return True
        if not self._was_waiting:
            self._was_waiting = True
            with self._place.ledger.transaction() as cursor:
                self._on_waiting(cursor)
        return False

    def _note_rest(self, is_paused: bool) -> None:
        if is_paused != self._is_resting:
            self._is_resting = is_paused
            log.warning(
                "paused: jobs in process are finished, the rest waits for `data-miner resume`"
                if is_paused
                else "resumed: going on"
            )

    def _outstanding(self) -> Progress:
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

    def _left(self) -> None:
        self._place.ledger.with_retry(lambda cursor: projects.unfollow(cursor, self._me), deadline_s=2)


def living_followers(cursor: Cursor, project_id: int) -> list[Any]:
    """Other runs that follow the project now: renewed lately, and not proven dead."""
    from data_miner.engine.process import host, is_gone

    return [
        row
        for row in projects.followers(cursor, project_id, EXPIRE_S)
        if row.is_renewed and not (row.host == host() and is_gone(row.pid, row.pid_started))
    ]
