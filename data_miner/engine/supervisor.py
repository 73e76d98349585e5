"""The supervisor: one a database. Renews its lease, sweeps, derives, scales. Correctness never depends on it."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from data_miner.engine import process
from data_miner.engine.assignment import Assignment
from data_miner.engine.cluster import RayCluster
from data_miner.engine.orphans import OrphanSweep
from data_miner.engine.pool import Pool
from data_miner.engine.pools import Pools
from data_miner.engine.process import host, identity
from data_miner.engine.workplace import Workplace
from data_miner.errors import DataMinerError, UnreachableError
from data_miner.ledger import jobs, projects, sites, successors, supervision
from data_miner.ledger.connection import Cursor
from data_miner.stages.pipeline import Pipeline

log = logging.getLogger(__name__)

RENEW_S, EXPIRE_S = 5.0, 15.0
SWEEP_S = 1.0
DERIVE_S = 5.0
SCALING_S = 2.0  # between two accounts of what was decided, for `status --scaling`
NODES_S = 5.0
MOST_STARTS = 3  # of a Ray of our own, in a row, that did not come up
DRAIN_S = 120.0  # at the end of a run; whoever is later is killed, which is safe


class Supervisor:
    """Runs pools for the whole database, for as long as it holds the lease."""

    def __init__(self, place: Workplace, pipeline: Pipeline, cluster: RayCluster, *, is_service: bool = False) -> None:
        self._place, self._pipeline, self._cluster, self._is_service = place, pipeline, cluster, is_service
        self._me = uuid.uuid4()
        self._pools: Pools | None = None
        self._orphans = OrphanSweep(place.ledger, place.store, place.settings.scratch)
        self._last: dict[str, float] = {}
        self._renewed_at = 0.0
        self._told: str | None = None  # the dashboard, as the lease's row has it
        self._told_scaling: dict[str, Any] | None = None
        self._other: Any = None  # the lease's row while another supervises
        self._next_unfollowed = 0
        self._error: DataMinerError | None = None
        self._failed_starts = 0
        self.is_leading = False

    @property
    def error(self) -> DataMinerError | None:
        """What stops the run, as one clear line: Ray does not come up, or a stage cannot be opened."""
        return self._error or (self._pools.error if self._pools is not None else None)

    @property
    def dashboard(self) -> str | None:
        """Where the Ray dashboard is, once Ray runs."""
        return self._cluster.dashboard

    @property
    def other(self) -> str | None:
        """Who supervises when it is not this process: `PID on HOST`."""
        return f"{self._other.pid} on {self._other.host.partition('/')[0]}" if self._other is not None else None

    def refusal(self, plan: Mapping[str, Any]) -> DataMinerError | None:
        """Why the service that supervises cannot mine a plan: one of its stages cannot be opened there."""
        told = (self._other.scaling or {}) if self._other is not None else {}
        for row in told.get("held", []):
            if row["stage"] in plan["stages"] and plan[row["stage"]]["runtime_key"] == row["runtime_key"]:
                return DataMinerError(row["error"])
        return None

    def on_up(self, heard: Callable[[], None]) -> None:
        """Have `heard` called, in another thread, when Ray is up: a tick is due then."""
        self._cluster.on_up = heard

    def tick(self) -> None:
        """Do what is due. Raises UnreachableError while the database is away; call again later."""
        now = time.monotonic()
        try:
            with self._place.ledger.transaction() as cursor:
                if self._is_due("renew", RENEW_S, now) or not self.is_leading or self._told != self.dashboard:
                    self._renew(cursor, now)
                if not self.is_leading:
                    self._stand_by()
                    return
                if self._is_due("sweep", SWEEP_S, now):
                    self._sweep(cursor)
                self._tell_scaling(cursor, now)
                backlog, plans = jobs.backlog(cursor), projects.plans(cursor)
                bounds, followed = supervision.bounds(cursor), projects.active(cursor, EXPIRE_S)
        except UnreachableError:
            self._cannot_renew(now)
            raise
        self._scale(backlog, plans, bounds, followed)
        self._orphans.go_on()
        if self._is_due("derive", DERIVE_S, now):
            self._derive()

    def close(self, is_urgent: Callable[[], bool] = lambda: False) -> None:
        """Drain, take Ray down and resign; at once when `is_urgent` says so."""
        self._orphans.close()
        if self._pools is not None:
            late = self._drained(self._pools, is_urgent)
            with suppress(UnreachableError):
                self._place.end_workers(late)
                self._buried(late, False)
            self._pools = None
        self._cluster.stop()
        if self.is_leading:
            self.is_leading = False
            with suppress(UnreachableError):
                self._place.ledger.with_retry(lambda cursor: supervision.resign(cursor, self._me), deadline_s=2)

    def _drained(self, pools: Pools, is_urgent: Callable[[], bool]) -> list[uuid.UUID]:
        """Wait until the actors have left; returns the ids of those that are to be ended."""
        pools.drain()
        deadline = time.monotonic() + DRAIN_S
        while pools.members and time.monotonic() < deadline and not is_urgent() and self._cluster.is_alive():
            with suppress(UnreachableError):  # what a dead one held comes back by the sweep
                pools.reap()
            time.sleep(0.02)
        pools.kill()
        return pools.lost()

    def _renew(self, cursor: Cursor, now: float) -> None:
        other = supervision.current(cursor)
        is_dead = other.host == host() and other.pid is not None and process.is_gone(other.pid, other.pid_started)
        epoch = supervision.take(
            cursor, self._me, identity(), self.dashboard, EXPIRE_S, dead=other.holder if is_dead else None
        )
        if epoch is None and self.is_leading:
            log.warning("supervision was lost to another process: draining")
        self.is_leading, self._told = epoch is not None, self.dashboard
        self._other = supervision.current(cursor) if epoch is None else None
        if not self.is_leading:
            self._told_scaling = None
        if self.is_leading:
            self._renewed_at = now

    def _tell_scaling(self, cursor: Cursor, now: float) -> None:
        """What was decided, for `status --scaling`, and which pools are held, for those who follow."""
        found: dict[str, Any] = {}
        if self._pools is not None:
            found = {**self._pools.snapshot, "held": self._pools.held}
        if found != self._told_scaling and self._is_due("scaling", SCALING_S, now):
            supervision.set_scaling(cursor, self._me, found)
            self._told_scaling = found

    def _stand_by(self) -> None:
        """Another supervises: what we still have leaves, and Ray after it."""
        if self._pools is None:
            return
        self._pools.drain()
        self._pools.reap()
        if not self._pools.members or not self._cluster.is_alive():
            self._pools = None
            self._cluster.stop()

    def _cannot_renew(self, now: float) -> None:
        """The lease has run out unrenewed: another may supervise by now, so this one scales no more."""
        if self._pools is not None and now - self._renewed_at > EXPIRE_S and self._cluster.is_alive():
            self._pools.drain()
            self._pools.reap()

    def _sweep(self, cursor: Cursor) -> None:
        dead = [
            row.id
            for row in jobs.living_workers(cursor, host())
            if process.is_gone(row.pid, row.pid_started) and row.id not in self._own_workers()
        ]
        if dead:  # of an earlier driver on this machine: nobody waits for their leases
            jobs.release_workers(cursor, dead, by_own_work=False)
        jobs.sweep(cursor)
        sites.tick(cursor)

    def _own_workers(self) -> set[uuid.UUID]:
        """Our own actors' deaths are told by Ray, which knows whether they died of their work."""
        members = self._pools.members if self._pools is not None else []
        return {member.assignment.worker_id for member in members}

    def _derive(self) -> None:
        with self._place.ledger.transaction() as cursor:
            active = [*projects.active(cursor, EXPIRE_S), *self._unfollowed(cursor)]
        for project_id in active:
            self._place.ledger.with_retry(partial(successors.derive, project_id=project_id), deadline_s=5)

    def _unfollowed(self, cursor: Cursor) -> list[int]:
        """One of the other projects, in turn: their finishes derive too, so this only mends."""
        if not self._is_service:
            return []
        known = sorted(projects.plans(cursor))
        found = next((own for own in known if own > self._next_unfollowed), min(known, default=0))
        self._next_unfollowed = found
        return [found] if found else []

    def _scale(
        self,
        backlog: list[Any],
        plans: Mapping[int, Any],
        bounds: Mapping[str, tuple[int, int]],
        followed: Sequence[int],
    ) -> None:
        if self._pools is not None and not self._cluster.is_alive():
            self._bury_ray(self._pools)
        if self._pools is None:
            is_needed = bool(backlog) or (self._is_service and not self._cluster.is_own)
            if not is_needed or not self._is_ray_up():
                return  # no work, no Ray of our own; a service joins a cluster at once, to say what is wrong with it
            self._failed_starts = 0
            self._pools = Pools(self._cluster, self._pipeline, self._assign, self._buried, self._is_service)
        if self._is_one_node():
            own = [plans[project_id] for project_id in followed if project_id in plans]
            self._pools.update(backlog, plans.values(), bounds, own)

    def _is_one_node(self) -> bool:
        """Workers of another machine do not reach a database on this one's socket."""
        if self._place.settings.database_url is not None:
            return True
        if self._is_due("nodes", NODES_S, time.monotonic()) and (nodes := self._cluster.nodes()) > 1:
            self._error = UnreachableError(
                f"the cluster has {nodes} nodes, and the embedded database serves only this one; "
                "set DATABASE_URL to a server that all nodes reach, then `data-miner init-db`"
            )
        return self._error is None

    def _is_ray_up(self) -> bool:
        try:
            return self._cluster.start()
        except DataMinerError as error:
            # A Ray of our own may have been killed while it started; one that never comes up ends the run.
            self._failed_starts += 1
            log.warning("%s", error)
            self._cluster.stop()
            if self._failed_starts >= MOST_STARTS or not self._cluster.is_own:
                self._error = error  # kept apart from an unreachable database, which is waited for
            return False

    def _bury_ray(self, pools: Pools) -> None:
        log.warning("ray is gone; starting it again")
        lost = pools.lost()
        self._pools = None
        self._cluster.stop()
        self._place.end_workers(lost)
        self._buried(lost, False)

    def _assign(self, pool: Pool, cpus: float) -> Assignment:
        return self._place.assignment(
            pool=pool.name,
            stages=pool.stages,
            runtime_key=pool.runtime_key,
            runtime=pool.runtime,
            threads=max(1, int(cpus)),
            uses_gpu=pool.share.gpus > 0,
        )

    def _buried(self, worker_ids: list[uuid.UUID], by_own_work: bool) -> None:
        """These processes are dead: what they held comes back at once."""
        if worker_ids:
            self._place.ledger.with_retry(
                lambda cursor: jobs.release_workers(cursor, worker_ids, by_own_work=by_own_work), deadline_s=5
            )

    def _is_due(self, what: str, every_s: float, now: float) -> bool:
        if now - self._last.get(what, -1e9) < every_s:
            return False
        self._last[what] = now
        return True
