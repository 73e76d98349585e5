"""What a stage is. A stage knows pixels and numbers; it knows neither Ray nor how work is claimed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from data_miner.store.artifacts import Store


@dataclass(frozen=True, slots=True)
class Node:
    """What one worker process stands on: ledger, store, scratch space, device."""

    ledger: Ledger
    store: Store
    scratch: Path  # node-local folder, survives restarts of the process
    models: Path  # folder for weights
    device: str = "cpu"  # cpu | cuda:0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What processing one job came to. Failures are values with a reason word."""

    rows: Mapping[str, Any] = field(default_factory=dict)  # what the stage's save() writes
    verdict: str = "done"  # done | skipped
    reason: str = ""
    items: int = 0  # pictures, videos, ...: for batch_stat
    size_bytes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)  # by step, for batch_stat
