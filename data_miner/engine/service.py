"""`engine`: supervises the database for whoever registers a project, until it is told to stop."""

import time
from collections.abc import Callable

from data_miner.engine.shift import SHARE, Shift
from data_miner.engine.supervisor import Supervisor
from data_miner.engine.workplace import Workplace
from data_miner.ledger.connection import Cursor

LOOK_S = 0.5


class Service(Shift):
    """Supervise, or stand by while another does."""

    def __init__(
        self,
        place: Workplace,
        supervisor: Supervisor,
        *,
        revive: Callable[[], object] | None,
        on_look: Callable[[Cursor], None],
    ) -> None:
        super().__init__(place, supervisor, revive)
        self._on_look, self._look_at = on_look, 0.0

    def run(self) -> list[int]:
        """Work until a signal comes, and drain; returns the signals that came."""
        self._work()
        return self.signals

    def _round(self) -> bool:
        self._supervisor.tick()
        started = time.monotonic()
        if started >= self._look_at:
            with self._place.ledger.transaction() as cursor:
                self._on_look(cursor)
            self._look_at = time.monotonic() + max(LOOK_S, SHARE * (time.monotonic() - started))
        return False
