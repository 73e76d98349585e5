"""One `engine`: supervises every project, or stands by, and says which. Flags are read in commands/engine."""

import signal
from typing import Any

from data_miner.cli import words
from data_miner.cli.room import Room
from data_miner.cli.survey import Survey
from data_miner.engine.address import require_answer
from data_miner.engine.cluster import RayCluster
from data_miner.engine.service import Service
from data_miner.engine.supervisor import Supervisor
from data_miner.engine.workplace import Workplace
from data_miner.ledger.connection import Cursor
from data_miner.ledger.embedded import EmbeddedPostgres

DONE, INTERRUPTED = 0, 130


class Supervising:
    """One life of an engine."""

    def __init__(self, place: Workplace, pipeline: Any, server: EmbeddedPostgres | None, is_quiet: bool) -> None:
        self._place, self._server = place, server
        cluster = RayCluster(place.machine, place.settings.ray_address)
        self._supervisor = Supervisor(place, pipeline, cluster, is_service=True)
        self._survey = Survey(is_quiet, self._header)
        self._room = Room(place.settings, place.store, self._survey.say)
        self._is_quiet = is_quiet
        self._other: str | None = None  # who supervises, as it was said last

    def run(self) -> int:
        """Supervise until a signal comes: 0 after a SIGTERM and a drain, else 130. Raises UnreachableError."""
        address = self._place.settings.ray_address
        if address is not None:
            require_answer(address)  # now, and not when the first work comes
        with self._survey:
            service = Service(
                self._place,
                self._supervisor,
                revive=self._server.ensure if self._server is not None else None,
                on_look=self._look,
            )
            signals = service.run()
        return DONE if signals == [signal.SIGTERM] else INTERRUPTED

    def _look(self, cursor: Cursor) -> None:
        other = self._supervisor.other
        if other is not None and other != self._other and not self._is_quiet:
            self._survey.say(f"standby: {other} supervises")
        self._other = other
        if other is not None:
            return  # who supervises tells of the work
        self._survey.announce()
        self._survey.show(cursor)
        self._room.look(cursor)

    def _header(self) -> str:
        device, address = self._place.machine, self._supervisor.dashboard or self._place.settings.ray_address
        card = device.cards[0] if device.cards else None
        parts = [
            "engine",
            f"{device.device} {card.name} {words.size(card.vram_bytes)}" if card else device.device,
            f"data {words.shown(self._place.settings.data)}",
            f"ray {address}" if address else "ray starts with the first work",
            "waits for projects: data-miner run -p NAME brings one",
            "Ctrl-C is safe",
        ]
        return " · ".join(parts)
