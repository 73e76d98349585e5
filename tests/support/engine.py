"""The made-up world of support.ledger, mined by real workers: stages that take as long, and fail, as a test says."""

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_miner.config.settings import MinFree, Settings
from data_miner.config.sites import UNPACED, Sites
from data_miner.engine.assignment import Assignment
from data_miner.engine.devices import Machine
from data_miner.engine.worker import Worker
from data_miner.engine.workplace import Workplace
from data_miner.errors import ModelError
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.jobs import Job
from data_miner.stages.base import Node, Outcome, Share
from data_miner.stages.pipeline import STAGES, Pipeline
from data_miner.store.artifacts import Store
from tests.support.ledger import ORDER, Miner, World

STAGE_NAMES = tuple(reversed(ORDER))
ONE_CPU_EACH = Pipeline("made", STAGE_NAMES, {name: Share(cpus=1.0) for name in STAGE_NAMES})
WORLD = World({"search": [f"v{number}" for number in range(3)]})
ORDERS = "orders.json"  # in the scratch folder: stage -> seconds a job takes, "broken" or "deadly"


def order(scratch: Path, **by_stage: float | str) -> None:
    """Tell the stages of running and future workers how to behave."""
    part = scratch / "orders.part"
    part.write_text(json.dumps(by_stage))
    part.rename(scratch / ORDERS)


class Runner:
    """Does a made-up job as support.ledger's miner does, and takes its time."""

    def __init__(self, name: str, node: Node, effect: Callable[[Job], None] | None) -> None:
        self._name, self._node, self._effect = name, node, effect
        self._miner = Miner(node.ledger, WORLD)

    def load(self, job: Job) -> None:
        """Nothing: the world is made up."""

    def process(self, job: Job, work: None, beat: Callable[[int], None]) -> Outcome:
        """Wait as ordered, then find what the world has."""
        if self._effect is not None:
            self._effect(job)
        until, moved = time.monotonic() + float(_ordered(self._node, self._name) or 0), 0
        while time.monotonic() < until:
            time.sleep(0.02)
            beat(moved := moved + 1)
        save, reason = self._miner._process(job)
        return Outcome(rows=save, reason=reason, items=1)

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        """Write what the miner would write."""
        outcome.rows(cursor)

    def close(self) -> None:
        """Nothing is open."""


def made(name: str, effect: Callable[[Job], None] | None = None) -> Any:
    """A stage of the made-up world. `effect` is called first thing in `process`."""

    class Made:
        @classmethod
        def from_runtime(cls, runtime: Mapping[str, Any]) -> "Made":
            return cls()

        def open(self, node: Node) -> Runner:
            match _ordered(node, name):
                case "broken":
                    raise ModelError(f"{name}.pt: no such weights")
                case "deadly":
                    os._exit(3)
            return Runner(name, node, effect)

    return Made


class MadeWorker(Worker):
    """A worker, in its own process, whose stages are made up."""

    def __init__(self, assignment: Assignment) -> None:
        STAGES.update({name: made(name) for name in STAGE_NAMES})
        super().__init__(assignment)


def made_class(stage: str) -> type:
    """What a cluster starts for a stage."""
    return type(stage.capitalize(), (MadeWorker,), {})


def workplace(ledger: Ledger, folder: Path, cpus: int = 2) -> Workplace:
    """A place for the engine below one folder, with no least free disk."""
    settings = replace(Settings.from_env(str(folder), env={}), min_free=MinFree(0, 0))
    settings.scratch.mkdir(parents=True)
    store = Store(settings.store)
    store_id = store.claim_identity(uuid.uuid4().hex)
    order(settings.scratch)
    plain = Ledger(ledger.dsn)  # one that can be sent to another process
    return Workplace(settings, plain, store, store_id, Machine(cpus), (), Sites(UNPACED))


def _ordered(node: Node, name: str) -> Any:
    return json.loads((node.scratch / ORDERS).read_text()).get(name)
