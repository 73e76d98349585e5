"""The orphan sweep: deletes what killed attempts left in the store and in this node's scratch folder.

Workers never delete an artifact; only this does, and only what the ledger has proven to be of no use.
"""

import fcntl
import logging
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from data_miner.errors import DataMinerError
from data_miner.ledger import orphans
from data_miner.ledger.connection import Ledger
from data_miner.store.artifacts import Store

log = logging.getLogger(__name__)

EVERY_S = 600.0
_BATCH = 1000  # keys a question
_KINDS = ("videos", "shards", "embeddings")


class OrphanSweep:
    """Sweeps in a thread of its own, now and then: listing a large store takes minutes, a tick must not."""

    def __init__(self, ledger: Ledger, store: Store, scratch: Path, every_s: float = EVERY_S) -> None:
        self._ledger, self._store, self._scratch, self._every_s = ledger, store, scratch, every_s
        self._began_at: float | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def go_on(self) -> None:
        """Begin a sweep when one is due and none is under way."""
        now = time.monotonic()
        if (self._began_at is not None and now - self._began_at < self._every_s) or self._is_sweeping():
            return
        self._began_at = now
        self._thread = threading.Thread(target=self._run, name="orphans", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop between two batches."""
        self._stop.set()

    def sweep(self) -> int:
        """Delete every proven orphan there is now; returns how many."""
        return self._sweep_store() + self._sweep_scratch()

    def _is_sweeping(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        try:
            deleted = self.sweep()
            if deleted:
                log.info("orphans deleted", extra={"deleted": deleted})
        except (DataMinerError, OSError) as error:
            log.info("the orphan sweep goes on later: %s", error)

    def _sweep_store(self) -> int:
        deleted = 0
        for kind in _KINDS:
            for keys in self._batches(self._store.list(kind)):
                with self._ledger.transaction() as cursor:
                    found = orphans.proven(cursor, keys)
                for key in found:
                    self._store.delete(key)
                deleted += len(found)
        return deleted

    def _sweep_scratch(self) -> int:
        """Shards half written by attempts that are over, and downloads that need no resuming any more."""
        shards = {path.name.split(".")[0]: path for path in self._in_scratch("extract")}
        downloads = {path.name: path for path in self._in_scratch("download") if path.is_dir()}
        with self._ledger.transaction() as cursor:
            ended = orphans.ended_attempts(cursor, list(shards))
            done = orphans.ended_jobs(cursor, list(downloads))
        for name in ended:
            shards[name].unlink(missing_ok=True)
        return len(ended) + sum(_removed(downloads[name]) for name in done)

    def _in_scratch(self, stage: str) -> list[Path]:
        folder = self._scratch / stage
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _batches(self, keys: Iterable[str]) -> Iterator[list[str]]:
        left = iter(keys)
        while not self._stop.is_set() and (batch := list(islice(left, _BATCH))):
            yield batch


def _removed(folder: Path) -> bool:
    """Delete a download's folder, unless somebody works in it again: who holds its lock."""
    try:
        with (folder / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return False
    return True
