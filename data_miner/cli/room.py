"""What a run says when a disk is too full to go on, and when there is room again. Pausing is the workers' matter."""

import shutil
from collections.abc import Callable

from data_miner.cli import words
from data_miner.config.settings import Settings
from data_miner.ledger import status
from data_miner.ledger.connection import Cursor
from data_miner.store.artifacts import Store


class Room:
    """Watches the disks of the scratch folder and of the store."""

    def __init__(self, settings: Settings, store: Store, say: Callable[[str], None]) -> None:
        self._settings, self._store, self._say = settings, store, say
        self._is_short = False

    def look(self, cursor: Cursor) -> None:
        """Say it once when room runs out, and once when it is back."""
        shortage = self._too_little() or status.full_disk(cursor)
        if shortage is not None and not self._is_short:
            self._say(f"disk       {shortage}: download and extract wait. Make room, they go on by themselves")
        if shortage is None and self._is_short:
            self._say("disk       there is room again, all goes on")
        self._is_short = shortage is not None

    def _too_little(self) -> str | None:
        least = self._settings.min_free.of(self._store.total_bytes() or 0)
        places = {
            str(self._settings.data): shutil.disk_usage(self._settings.scratch).free,
            self._store.place: self._store.free_bytes(),
        }
        for place, free in places.items():
            if free is not None and free < least:
                is_asked = f"{words.size(least)} must stay free (DATA_MINER_MIN_FREE)"
                return f"only {words.size(free)} free for {place}, {is_asked}"
        return None
