"""Pools: the actors of one stage and runtime key, made and let go as the backlog asks."""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from data_miner.engine.assignment import Assignment
from data_miner.engine.cluster import Member, RayCluster, is_death
from data_miner.engine.scaling import Decision, PoolState, decide, scale_factor
from data_miner.errors import DataMinerError
from data_miner.stages.base import Share
from data_miner.stages.pipeline import Pipeline

log = logging.getLogger(__name__)

DRAIN_S = 60.0  # an actor that was asked to stop and did not is killed
_TOGETHER = {"expand": "download"}  # stages that share a pool
_MOST = {"download": 4, "dedup": 1}  # more would only wait for each other


@dataclass(slots=True)
class Pool:
    """One pool: what its actors are told, and the actors."""

    stage: str
    stages: tuple[str, ...]
    runtime_key: str
    runtime: Mapping[str, Any]
    share: Share
    depth: int
    members: list[Member] = field(default_factory=list)
    waiting: int = 0
    running: int = 0
    worked_at: float = field(default_factory=time.monotonic)
    grown_at: float = 0.0
    made: int = 0

    @property
    def name(self) -> str:
        """For people: the stage, and the model's key where there is one."""
        return f"{self.stage} {self.runtime_key[:6]}".strip()


class Pools:
    """All pools of one supervisor."""

    def __init__(
        self,
        cluster: RayCluster,
        pipeline: Pipeline,
        assign: Callable[[Pool, float], Assignment],
        on_death: Callable[[list[uuid.UUID], bool], None],
    ) -> None:
        self._cluster, self._pipeline, self._assign, self._on_death = cluster, pipeline, assign, on_death
        self._pools: dict[tuple[str, str], Pool] = {}
        self.decisions: dict[str, Decision] = {}
        self.error: DataMinerError | None = None  # a stage that cannot be opened stops the run

    @property
    def members(self) -> list[Member]:
        """Every actor there is."""
        return [member for pool in self._pools.values() for member in pool.members]

    def update(self, backlog: Iterable[Any], plans: Iterable[Mapping[str, Any]]) -> None:
        """Look at the backlog, let go of what ended, make and drain actors."""
        now = time.monotonic()
        self._count(backlog, plans)
        self._reap()
        cpus, gpus = self._cluster.capacity()
        factor = self._factor(cpus)
        states = [self._state(pool, factor, gpus, now) for pool in self._pools.values()]
        self.decisions = decide(states, cpus, gpus)
        for pool in self._pools.values():
            self._resize(pool, self.decisions[pool.name].actors, factor, gpus, now)

    def drain(self) -> None:
        """Ask every actor to finish what it has in process and leave."""
        for member in self.members:
            if member.stopping_since is None:
                self._cluster.ask_to_stop(member)

    def wait_until_drained(self, timeout_s: float) -> None:
        """Wait for drained actors; whoever is late is killed, which is safe."""
        deadline = time.monotonic() + timeout_s
        while self.members and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.05)
        for pool in self._pools.values():
            for member in pool.members:
                self._cluster.kill(member)
            pool.members.clear()

    def lost(self) -> list[uuid.UUID]:
        """Forget all actors: their Ray is gone. Returns their worker ids."""
        ids = [member.assignment.worker_id for member in self.members]
        for pool in self._pools.values():
            pool.members.clear()
        return ids

    def _count(self, backlog: Iterable[Any], plans: Iterable[Mapping[str, Any]]) -> None:
        for pool in self._pools.values():
            pool.waiting = pool.running = 0
        by_key = {
            (stage, plan[stage]["runtime_key"]): plan[stage]["runtime"] for plan in plans for stage in plan["stages"]
        }
        for row in backlog:
            stage = _TOGETHER.get(row.stage, row.stage)
            if (row.stage, row.runtime_key) not in by_key or stage not in self._pipeline.stages:
                continue  # nobody's present configuration, or another run's pipeline
            pool = self._pools.setdefault(
                (stage, row.runtime_key),
                self._new(stage, row.runtime_key, by_key[row.stage, row.runtime_key]),
            )
            pool.waiting += row.waiting
            pool.running += row.running
            pool.worked_at = time.monotonic() if row.waiting + row.running else pool.worked_at

    def _new(self, stage: str, runtime_key: str, runtime: Mapping[str, Any]) -> Pool:
        stages = (*[first for first, second in _TOGETHER.items() if second == stage], stage)
        depth = self._pipeline.stages.index(stage)
        return Pool(stage, stages, runtime_key, runtime, self._pipeline.share(stage), depth)

    def _state(self, pool: Pool, factor: float, gpus: float, now: float) -> PoolState:
        staying = [member for member in pool.members if member.stopping_since is None]
        return PoolState(
            name=pool.name,
            depth=pool.depth,
            waiting=pool.waiting,
            running=pool.running,
            actors=len(staying),
            starting=sum(now - member.asked_at < 1.0 for member in staying),
            share_cpus=pool.share.cpus * factor,
            share_gpus=pool.share.gpus if gpus else 0.0,
            most=_MOST.get(pool.stage, 1000),
            idle_s=now - pool.worked_at,
            grown_s=now - pool.grown_at,
        )

    def _factor(self, cpus: float) -> float:
        """Shares shrink by what one actor of every stage of the pipeline needs: no stage must wait for another."""
        per_stage = {stage: self._pipeline.share(_TOGETHER.get(stage, stage)).cpus for stage in self._pipeline.stages}
        per_stage.pop("expand", None)
        more = [pool.share.cpus for pool in self._pools.values() if pool.waiting + pool.running or pool.members]
        extra = max(0.0, sum(more) - sum(per_stage.values()))
        return scale_factor([*per_stage.values(), extra], cpus)

    def _resize(self, pool: Pool, wanted: int, factor: float, gpus: float, now: float) -> None:
        staying = [member for member in pool.members if member.stopping_since is None]
        for member in staying[wanted:]:
            self._cluster.ask_to_stop(member)
        for _ in range(wanted - len(staying)):
            pool.made += 1
            cpus = round(max(0.01, pool.share.cpus * factor), 4)
            name = f"{pool.name} {pool.made} of {pool.stage} pool".replace("  ", " ")
            assignment = self._assign(pool, cpus)
            pool.members.append(
                self._cluster.start_worker(
                    assignment,
                    f"{name} {assignment.worker_id.hex[:4]}",
                    cpus,
                    pool.share.gpus if gpus else 0.0,
                )
            )
            pool.grown_at = now
        if pool.waiting:
            for member in staying[:wanted]:
                self._cluster.nudge(member)
        for member in pool.members:
            if member.stopping_since is not None and now - member.stopping_since > DRAIN_S:
                log.warning("%s did not drain in %.0f s and is killed", member.name, DRAIN_S)
                self._cluster.kill(member)

    def _reap(self) -> None:
        for member, raised in self._cluster.ended(self.members):
            for pool in self._pools.values():
                if member in pool.members:
                    pool.members.remove(member)
            if is_death(raised):
                # Killed by us after a drain that took too long, it did not die of its work.
                log.warning("%s died", member.name)
                self._on_death([member.assignment.worker_id], member.stopping_since is None)
            else:
                self._cluster.kill(member)
                if isinstance(raised, DataMinerError):
                    self.error = raised
                elif raised is not None:
                    log.error("%s failed: %s", member.name, raised)
                    self._on_death([member.assignment.worker_id], False)


def with_worker_id(assignment: Assignment) -> Assignment:
    """The same assignment for a new process."""
    return replace(assignment, worker_id=uuid.uuid4())
