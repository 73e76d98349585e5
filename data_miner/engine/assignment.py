"""What a worker is told at its start: plain values that travel to any node."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.config.sites import Sites
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import LEASE_S
from data_miner.store.artifacts import Store


@dataclass(frozen=True, slots=True)
class Assignment:
    """A worker's pool and where everything is."""

    pool: str
    stages: tuple[str, ...]  # claimed in this order
    runtime_key: str
    runtime: Mapping[str, Any]
    ledger: Ledger
    store: Store
    store_id: str
    scratch: Path
    models: tuple[Path, ...]
    paces: Sites
    worker_id: uuid.UUID
    logs: Path | None = None
    loki_url: str | None = None
    device: str = "cpu"
    threads: int = 1
    lease_s: float = LEASE_S
    min_free_bytes: int = 0
