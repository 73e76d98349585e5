"""The actors on a Ray cluster. `ray.remote` is applied in this file and nowhere else."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from data_miner.engine.address import checked_address
from data_miner.engine.assignment import Assignment
from data_miner.engine.devices import Machine
from data_miner.engine.head import Head
from data_miner.errors import UsageError

log = logging.getLogger(__name__)

_METHODS_AT_ONCE = 4  # run() occupies one thread for good, opened() one at first; stop() and nudge() come beside


@dataclass(slots=True)
class Member:
    """One worker as its supervisor knows it."""

    assignment: Assignment
    name: str
    cpus: float
    gpus: float
    actor: Any
    result: Any  # of run()
    opened: Any  # of opened()
    placed: Any  # resolves once Ray has given it a place
    asked_at: float = field(default_factory=time.monotonic)
    is_placed: bool = False
    opened_at: float | None = None  # None: pending, or loading its model; it holds no job
    stopping_since: float | None = None

    @property
    def is_loading(self) -> bool:
        """Has it its place, and not yet its model? To end it now would waste what it loaded."""
        return self.is_placed and self.opened_at is None


class RayCluster:
    """A Ray of our own on this machine, or one that RAY_ADDRESS names."""

    def __init__(self, machine: Machine, address: str | None = None) -> None:
        self._machine, self._address = machine, checked_address(address)
        self._head: Head | None = None
        self._leaving: Head | None = None
        self.on_up: Callable[[], None] = lambda: None  # called, in another thread, when Ray is up or failed

    @property
    def is_own(self) -> bool:
        """Is it a Ray that we start, rather than one we join?"""
        return self._address is None

    @property
    def dashboard(self) -> str | None:
        """Where the Ray dashboard is, once Ray runs."""
        return self._head.dashboard if self._head is not None else None

    def start(self, wait_s: float = 0) -> bool:
        """Start or join unless that was done; is Ray up by now? Raises UnreachableError."""
        if self._leaving is not None and not self._leaving.stop(wait_s):
            return False  # one Ray a process: the last must be gone
        self._leaving = None
        if self._head is None:
            self._head = Head(self._machine, self._address, self.on_up)
        return self._head.is_up(wait_s)

    def is_alive(self) -> bool:
        """Is our own Ray still there?"""
        return self._head is not None and self._head.is_alive()

    def stop(self, wait_s: float = 0) -> None:
        """Leave, and take a Ray of our own down with us; beside what the caller does next, and before it exits."""
        if self._head is not None:
            self._head.stop(wait_s)
            self._head, self._leaving = None, self._head

    def start_worker(self, assignment: Assignment, name: str, cpus: float, gpus: float) -> Member:
        """Ask for one actor; it may stay pending until there is room."""
        import ray

        remote = ray.remote(_class_of(assignment.stages[-1])).options(
            name=name,
            num_cpus=cpus,
            num_gpus=checked_share(gpus),
            max_concurrency=_METHODS_AT_ONCE,
            max_restarts=0,
            max_task_retries=0,
        )
        actor = remote.remote(assignment)
        result, opened, placed = actor.run.remote(), actor.opened.remote(), actor.__ray_ready__.remote()
        return Member(assignment, name, cpus, gpus, actor, result, opened, placed)

    def capacity(self) -> tuple[float, float]:
        """CPUs and GPUs of the whole cluster."""
        if self._address is None:
            return float(self._machine.cpus), float(len(self._machine.cards))
        import ray

        resources = ray.cluster_resources()
        return float(resources.get("CPU", 0)), float(resources.get("GPU", 0))

    def nodes(self) -> int:
        """Machines of the cluster that live."""
        if self._address is None:
            return 1
        import ray

        return sum(bool(node["Alive"]) for node in ray.nodes())

    def look(self, members: list[Member]) -> list[tuple[Member, BaseException | None]]:
        """Note who has a place and who has opened; returns those whose run() ended, with what it raised."""
        import ray

        results = {member.result: member for member in members}
        openings = {member.opened: member for member in members if member.opened_at is None}
        places = {member.placed: member for member in members if not member.is_placed}
        if not results:
            return []
        refs = [*results, *openings, *places]
        done, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        ended = [(results[ref], _raised_by(ref)) for ref in done if ref in results]
        for ref in done:
            if ref in openings and _raised_by(ref) is None:
                openings[ref].opened_at = time.monotonic()
            if ref in places and _raised_by(ref) is None:
                places[ref].is_placed = True
        return ended

    def nudge(self, member: Member) -> None:
        """Tell a worker that there may be work."""
        member.actor.nudge.remote()

    def ask_to_stop(self, member: Member) -> None:
        """Let a worker finish the job in process and leave."""
        member.stopping_since = time.monotonic()
        member.actor.stop.remote()

    def kill(self, member: Member) -> None:
        """End a worker at once: one that has left, hangs, or never got its place."""
        import ray

        ray.kill(member.actor)


def checked_share(gpus: float) -> float:
    """Accept 0, a whole number or 1/n of a GPU; other shares can hang (ray#52133, ray#20933). UsageError."""
    if gpus == 0 or gpus == int(gpus) or abs(1 / gpus - round(1 / gpus)) < 1e-6:
        return gpus
    raise UsageError(f"a share of {gpus} GPU: Ray needs 1/n, e.g. {1 / max(1, round(1 / gpus)):.3g}")


def is_death(error: BaseException | None) -> bool:
    """Did the process die, rather than raise?"""
    from ray.exceptions import RayActorError

    return isinstance(error, RayActorError)


@cache
def _class_of(stage: str) -> type:
    """Worker under its stage's name: that is what the dashboard and `ps` show."""
    from data_miner.engine.worker import Worker

    return type(stage.capitalize(), (Worker,), {"__doc__": Worker.__doc__})


def _raised_by(result: Any) -> BaseException | None:
    import ray

    raised: BaseException | None = None
    try:
        ray.get(result)
    except ray.exceptions.RayTaskError as error:
        raised = error.cause if isinstance(error.cause, Exception) else error
    except ray.exceptions.RayError as error:
        raised = error
    return raised
