"""Pools: the actors of one stage and runtime key, made and let go as the backlog asks."""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from data_miner.engine.assignment import Assignment
from data_miner.engine.cluster import Member, RayCluster, is_death
from data_miner.engine.pool import Pool
from data_miner.engine.scaling import Bound, PoolState, decide, gpu_share, scale_factor, snapshot
from data_miner.errors import DataMinerError
from data_miner.stages.base import Share
from data_miner.stages.pipeline import Pipeline

log = logging.getLogger(__name__)

LEAVE_S = 900.0  # as long as a job may go without progress; an actor that was asked to stop is killed then
OPEN_S = 60.0  # for one that was asked before it had a GPU or a model
HELD_S = 60.0  # a pool that cannot open keeps no other project's from working, and is tried again
MOST_FALSE_STARTS = 5  # in a row: what kills an actor before its first job will kill the next one too
_TOGETHER = {"expand": "download"}  # stages that share a pool
_MOST = {"download": 4, "dedup": 1}  # more would only wait for each other
_ALONE = "dedup"  # of two admitters only one can commit, whatever a person asks for

Plan = Mapping[str, Any]  # of a project, as the ledger has it


class Pools:
    """All pools of one supervisor."""

    def __init__(
        self,
        cluster: RayCluster,
        pipeline: Pipeline,
        assign: Callable[[Pool, float], Assignment],
        on_death: Callable[[list[uuid.UUID], bool], None],
        is_service: bool = False,
    ) -> None:
        self._is_service = is_service
        self._cluster, self._pipeline, self._assign, self._on_death = cluster, pipeline, assign, on_death
        self._pools: dict[tuple[str, str], Pool] = {}
        self._in_use: set[str] = set()  # stages that some project's plan has
        self._followed: set[tuple[str, str]] = set()  # stage and runtime key of what runs wait for
        self.snapshot: dict[str, Any] = {}  # what was last seen and decided
        self.error: DataMinerError | None = None  # a stage that cannot be opened stops a run, not a service

    @property
    def held(self) -> list[dict[str, str]]:
        """Pools of a service that cannot be opened, and why: stage, runtime_key, error."""
        return [
            {"stage": pool.stage, "runtime_key": pool.runtime_key, "error": str(pool.error)}
            for pool in self._pools.values()
            if pool.is_held
        ]

    @property
    def members(self) -> list[Member]:
        """Every actor there is."""
        return [member for pool in self._pools.values() for member in pool.members]

    def update(
        self,
        backlog: Iterable[Any],
        plans: Iterable[Plan],
        bounds: Mapping[str, tuple[int, int]],
        followed: Iterable[Plan] = (),
    ) -> None:
        """Look at the backlog, let go of what ended, make and drain actors. `followed`: plans that runs wait for."""
        now = time.monotonic()
        self._followed = set(_runtimes(followed))
        self._count(backlog, plans)
        self.reap()
        cpus, gpus = self._cluster.capacity()
        shares = self._shares(cpus, gpus)
        wanted = {stage: Bound(least, most) for stage, (least, most) in bounds.items()}
        states = [self._state(pool, shares[pool.name], wanted.get(pool.stage), now) for pool in self._pools.values()]
        decisions = decide(states, cpus, gpus)
        self.snapshot = snapshot(states, decisions, cpus, gpus)
        for pool in self._pools.values():
            self._resize(pool, decisions[pool.name].actors, shares[pool.name], now)

    def drain(self) -> None:
        """Ask every actor to finish what it has in process and leave."""
        self.reap()  # who has just opened may have a job
        for member in self.members:
            if member.stopping_since is None:
                self._let_go(member)

    def reap(self) -> None:
        """Bury who ended, and see who has opened."""
        for member, raised in self._cluster.look(self.members):
            for pool in self._pools.values():
                if member in pool.members:
                    pool.members.remove(member)
                    self._ended(pool, member, raised)
        for pool in self._pools.values():
            pool.note_openings()

    def kill(self) -> None:
        """End every actor at once."""
        if self._cluster.is_alive():
            for member in self.members:
                self._cluster.kill(member)

    def lost(self) -> list[uuid.UUID]:
        """Forget all actors: their Ray is gone, or will be. Returns their worker ids."""
        ids = [member.assignment.worker_id for member in self.members]
        for pool in self._pools.values():
            pool.members.clear()
        return ids

    def _count(self, backlog: Iterable[Any], plans: Iterable[Plan]) -> None:
        for pool in self._pools.values():
            pool.waiting = pool.running = 0
        by_key = _runtimes(plans)
        self._in_use = {stage for stage, _ in by_key}
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

    def _state(self, pool: Pool, share: Share, bound: Bound | None, now: float) -> PoolState:
        is_free = not pool.is_held
        return PoolState(
            name=pool.name,
            stage=pool.stage,
            depth=pool.depth,
            waiting=pool.waiting * is_free,
            running=pool.running * is_free,
            actors=len(pool.staying),
            starting=sum(member.opened_at is None for member in pool.staying),
            loading=sum(member.is_loading for member in pool.staying),
            share_cpus=share.cpus,
            share_gpus=share.gpus,
            most=_MOST.get(pool.stage, 1000) if bound is None or pool.stage == _ALONE else 1000,
            idle_s=now - pool.worked_at if is_free else float("inf"),
            opening_s=pool.opening_s,
            open_s=now - pool.opened_at,
            bound=bound,
        )

    def _shares(self, cpus: float, gpus: float) -> dict[str, Share]:
        """What an actor of each pool may ask for, so that one of each with work fits."""
        active = [pool for pool in self._pools.values() if pool.waiting + pool.running or pool.members]
        needed_gpus = sum(pool.share.gpus for pool in active)
        factor = self._factor(active, cpus)
        return {
            pool.name: Share(
                round(max(0.01, pool.share.cpus * factor), 4), gpu_share(pool.share.gpus, needed_gpus, gpus)
            )
            for pool in self._pools.values()
        }

    def _factor(self, active: list[Pool], cpus: float) -> float:
        """Shares shrink by what one actor of every stage in use needs: no stage must wait for another."""
        stages = {_TOGETHER.get(stage, stage) for stage in self._pipeline.stages if stage in self._in_use}
        each = sum(self._pipeline.share(stage).cpus for stage in stages)
        extra = max(0.0, sum(pool.share.cpus for pool in active) - each)  # a second model of a stage
        return scale_factor([each, extra], cpus)

    def _resize(self, pool: Pool, wanted: int, share: Share, now: float) -> None:
        staying = pool.staying
        # Pending ones first, then the newest; who is loading is let load, or what it loaded is wasted.
        may_leave = [member for member in staying[::-1] if not member.is_loading]
        for member in sorted(may_leave, key=lambda member: member.is_placed)[: max(0, len(staying) - wanted)]:
            self._let_go(member)
        for _ in range(wanted - len(staying)):
            pool.made += 1
            name = f"{pool.name} {pool.made}"
            pool.members.append(
                self._cluster.start_worker(self._assign(pool, share.cpus), name, share.cpus, share.gpus)
            )
        if pool.waiting:
            for member in pool.staying:
                self._cluster.nudge(member)
        for member in pool.members:
            limit_s = LEAVE_S if member.opened_at is not None else OPEN_S
            if member.stopping_since is not None and now - member.stopping_since > limit_s:
                log.warning("%s did not leave in %.0f s and is killed", member.name, limit_s)
                self._cluster.kill(member)

    def _let_go(self, member: Member) -> None:
        self._cluster.ask_to_stop(member)
        if member.opened_at is None and member.gpus == 0:
            self._cluster.kill(member)  # it holds no job, and while it is pending it would never hear

    def _ended(self, pool: Pool, member: Member, raised: BaseException | None) -> None:
        if raised is None or (member.stopping_since is not None and is_death(raised)):
            self._cluster.kill(member)
        elif isinstance(raised, DataMinerError):
            self._cluster.kill(member)
            self._cannot(pool, raised)
        else:
            log.warning("%s %s", member.name, "died" if is_death(raised) else f"failed: {raised}")
            pool.false_starts += member.opened_at is None or not is_death(raised)
            if pool.false_starts >= MOST_FALSE_STARTS:
                first = str(raised).strip().splitlines()[0][:200]
                self._cannot(pool, DataMinerError(f"{pool.name} cannot work: {first}; see logs/{pool.name}-*.jsonl"))
        if raised is not None:
            # Killed by us it did not die of its work; and an exception of ours is no fault of the job's.
            by_own_work = is_death(raised) and member.stopping_since is None
            self._on_death([member.assignment.worker_id], by_own_work)

    def _cannot(self, pool: Pool, error: DataMinerError) -> None:
        """No actor of the pool can work: the end of a run that needs it. Else the pool is held, the others go on."""
        is_foreign = bool(self._followed) and (pool.stage, pool.runtime_key) not in self._followed
        if not self._is_service and not is_foreign:
            self.error = error
        elif not pool.is_held:
            log.warning("%s is held for %.0f s: %s", pool.name, HELD_S, error)
            pool.error, pool.held_until, pool.false_starts = error, time.monotonic() + HELD_S, 0


def _runtimes(plans: Iterable[Plan]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What must be loaded, by stage and runtime key."""
    return {(stage, plan[stage]["runtime_key"]): plan[stage]["runtime"] for plan in plans for stage in plan["stages"]}
