"""Dedup in this process, without Ray: what is kept after a person's word is known at once, from stored numbers."""

import threading
import time
import uuid
from pathlib import Path

from data_miner.config.sites import Sites
from data_miner.engine.assignment import Assignment
from data_miner.engine.worker import Worker
from data_miner.ledger import jobs
from data_miner.ledger.connection import Ledger
from data_miner.store.artifacts import Store

_LOOK_S = 0.05


def decide_now(ledger: Ledger, store: Store, store_id: str, scratch: Path, paces: Sites, patience_s: float) -> bool:
    """Admit what waits for dedup, for at most `patience_s`; is nothing left? What is left the next run does.

    The worker is one like any other: it may be killed, and others may work beside it.
    """
    worker = Worker(
        Assignment(
            pool="dedup",
            stages=("dedup",),
            runtime_key="",
            runtime={},
            ledger=ledger,
            store=store,
            store_id=store_id,
            scratch=scratch,
            models=(),
            paces=paces,
            worker_id=uuid.uuid4(),
        )
    )
    thread = threading.Thread(target=worker.run, name="dedup", daemon=True)
    until = time.monotonic() + patience_s
    thread.start()
    try:
        while (is_left := _is_left(ledger)) and thread.is_alive() and time.monotonic() < until:
            time.sleep(_LOOK_S)
    finally:
        worker.stop()
        thread.join(timeout=patience_s)
    return not is_left


def _is_left(ledger: Ledger) -> bool:
    with ledger.transaction() as cursor:
        return any(row.stage == "dedup" and row.waiting + row.running for row in jobs.backlog(cursor))
