"""Ray: started here or joined, and the actors on it. `ray.remote` is applied in this file and nowhere else."""

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from data_miner.engine.assignment import Assignment
from data_miner.engine.devices import Machine
from data_miner.errors import UnreachableError, UsageError

log = logging.getLogger(__name__)

NAMESPACE = "data-miner"
_OBJECT_STORE_BYTES = 80 * 2**20  # nothing of ours goes through it; Ray wants 75 MB at least
_METHODS_AT_ONCE = 4  # run() occupies one thread for good; stop() and nudge() come beside it


@dataclass(slots=True)
class Member:
    """One worker as its supervisor knows it."""

    assignment: Assignment
    name: str
    cpus: float
    gpus: float
    actor: Any
    result: Any  # of run()
    asked_at: float = field(default_factory=time.monotonic)
    is_started: bool = False
    stopping_since: float | None = None


class RayCluster:
    """A Ray of our own on this machine, or one that RAY_ADDRESS names."""

    def __init__(self, machine: Machine, address: str | None = None) -> None:
        self._machine, self._address = machine, checked_address(address)
        self._raylet: psutil.Process | None = None
        self.dashboard: str | None = None

    def start(self) -> None:
        """Start or join. Raises UnreachableError."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        common = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._address is not None:
                context = ray.init(address=self._address, **common)
            else:
                context = ray.init(
                    address="local",  # anything else joins a stray cluster noted in Ray's temp folder
                    num_cpus=self._machine.cpus,
                    num_gpus=len(self._machine.cards),
                    object_store_memory=_OBJECT_STORE_BYTES,
                    include_dashboard=True,
                    dashboard_host="127.0.0.1",
                    **common,
                )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            where = self._address or "on this machine"
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnreachableError(
                f"ray {where} does not come up: {first}; see `data-miner doctor`"
            ) from error
        self.dashboard = f"http://{context.dashboard_url}" if context.dashboard_url else None
        if self._address is None:
            self._raylet = _raylet_of_this_process()

    def is_alive(self) -> bool:
        """Is our own raylet still there? Ray itself tells its driver only after some 14 s."""
        return self._raylet is None or (
            self._raylet.is_running() and self._raylet.status() != psutil.STATUS_ZOMBIE
        )

    def stop(self) -> None:
        """Leave, and take a Ray of our own down with us."""
        import ray

        ray.shutdown()

    def start_worker(self, assignment: Assignment, name: str, cpus: float, gpus: float) -> Member:
        """Ask for one actor; it may stay pending until there is room."""
        import ray

        from data_miner.engine.worker import Worker

        remote = ray.remote(Worker).options(
            name=name,
            num_cpus=cpus,
            num_gpus=gpus,
            max_concurrency=_METHODS_AT_ONCE,
            max_restarts=0,
            max_task_retries=0,
        )
        actor = remote.remote(assignment)
        return Member(assignment, name, cpus, gpus, actor, actor.run.remote())

    def capacity(self) -> tuple[float, float]:
        """CPUs and GPUs of the whole cluster."""
        if self._address is None:
            return float(self._machine.cpus), float(len(self._machine.cards))
        import ray

        resources = ray.cluster_resources()
        return float(resources.get("CPU", 0)), float(resources.get("GPU", 0))

    def ended(self, members: list[Member]) -> list[tuple[Member, BaseException | None]]:
        """Workers whose run() ended since the last call, with what it raised."""
        import ray

        if not members:
            return []
        by_result = {member.result: member for member in members}
        done, _ = ray.wait(list(by_result), num_returns=len(by_result), timeout=0)
        return [(by_result[result], _raised_by(result)) for result in done]

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


def checked_address(address: str | None) -> str | None:
    """Accept `host:port` or `auto`; raises UsageError for an address that cannot work."""
    if address is None or address == "":
        return None
    if address.startswith("ray://"):
        raise UsageError(
            f"RAY_ADDRESS={address}: a Ray client loses its actors with its connection; "
            "give the cluster's GCS as host:6379, or http://…:8265 to submit a job"
        )
    if address.startswith(("http://", "https://")):
        raise UsageError(f"RAY_ADDRESS={address}: this address takes submitted jobs; use `run --submit`")
    return address


def _raised_by(result: Any) -> BaseException | None:
    import ray

    try:
        ray.get(result)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        return cause if isinstance(cause, BaseException) else error
    except ray.exceptions.RayError as error:
        return error
    return None


def is_death(error: BaseException | None) -> bool:
    """Did the process die, rather than raise?"""
    from ray.exceptions import RayActorError

    return isinstance(error, RayActorError)


def _raylet_of_this_process() -> psutil.Process | None:
    children = psutil.Process().children(recursive=True)
    return next((child for child in children if Path(child.name()).name == "raylet"), None)
