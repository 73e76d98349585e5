"""Where the engine works: ledger, store, device and folders, as every worker is told."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.config.settings import Settings
from data_miner.config.sites import Sites
from data_miner.engine import process
from data_miner.engine.assignment import Assignment
from data_miner.engine.devices import Machine
from data_miner.engine.process import host
from data_miner.ledger import jobs
from data_miner.ledger.connection import Ledger
from data_miner.store.artifacts import Store


@dataclass(frozen=True, slots=True)
class Workplace:
    """What does not change while a `run` lives."""

    settings: Settings
    ledger: Ledger
    store: Store
    store_id: str
    machine: Machine
    models: tuple[Path, ...]
    paces: Sites

    def assignment(
        self,
        *,
        pool: str,
        stages: tuple[str, ...],
        runtime_key: str,
        runtime: Mapping[str, Any],
        threads: int,
        uses_gpu: bool,
    ) -> Assignment:
        """Tell one new worker process what it is and where everything lies."""
        own = self.settings
        disk_bytes = self.store.total_bytes() or 0
        return Assignment(
            pool=pool,
            stages=stages,
            runtime_key=runtime_key,
            runtime=runtime,
            ledger=self.ledger,
            store=self.store,
            store_id=self.store_id,
            scratch=own.scratch,
            models=self.models,
            paces=self.paces,
            worker_id=uuid.uuid4(),
            logs=own.logs,
            loki_url=own.loki_url,
            device=self.machine.device if uses_gpu else "cpu",
            threads=threads,
            min_free_bytes=own.min_free.of(disk_bytes),
        )

    def end_workers(self, worker_ids: Sequence[uuid.UUID], timeout_s: float = 10) -> None:
        """End worker processes of this machine whose Ray is gone, and wait until each is proven dead."""
        wanted, deadline = set(worker_ids), time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self.ledger.transaction() as cursor:
                rows = [row for row in jobs.living_workers(cursor, host()) if row.id in wanted]
            left = [row for row in rows if not process.is_gone(row.pid, row.pid_started)]
            if not left:
                return
            for row in left:
                process.kill(row.pid, row.pid_started)
            time.sleep(0.1)
