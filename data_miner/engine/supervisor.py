"""The supervisor: one a database. Renews its lease, sweeps, derives, scales. Correctness never depends on it."""

import logging
import time
import uuid

from data_miner.engine import process
from data_miner.engine.assignment import Assignment
from data_miner.engine.cluster import RayCluster
from data_miner.engine.pools import Pool, Pools
from data_miner.engine.process import host, identity
from data_miner.engine.workplace import Workplace
from data_miner.errors import DataMinerError
from data_miner.ledger import jobs, projects, sites, successors, supervision
from data_miner.ledger.connection import Cursor
from data_miner.stages.pipeline import Pipeline

log = logging.getLogger(__name__)

RENEW_S, EXPIRE_S = 5.0, 15.0
SWEEP_S = 1.0
DERIVE_S = 5.0


class Supervisor:
    """Runs pools for the whole database, for as long as it holds the lease."""

    def __init__(self, place: Workplace, pipeline: Pipeline, cluster: RayCluster) -> None:
        self._place, self._pipeline, self._cluster = place, pipeline, cluster
        self._me = uuid.uuid4()
        self._pools: Pools | None = None
        self._last: dict[str, float] = {}
        self.is_leading = False

    @property
    def error(self) -> DataMinerError | None:
        """A stage that cannot be opened: its one clear line."""
        return self._pools.error if self._pools is not None else None

    @property
    def dashboard(self) -> str | None:
        """Where the Ray dashboard is, once Ray runs."""
        return self._cluster.dashboard

    def tick(self) -> None:
        """Do what is due. Raises UnreachableError while the database is away; call again later."""
        now = time.monotonic()
        with self._place.ledger.transaction() as cursor:
            if self._is_due("renew", RENEW_S, now) or not self.is_leading:
                self._renew(cursor)
            if not self.is_leading:
                return
            if self._is_due("sweep", SWEEP_S, now):
                self._sweep(cursor)
        if self._is_due("derive", DERIVE_S, now):
            self._derive()
        self._scale()

    def close(self, *, is_urgent: bool = False) -> None:
        """Drain and resign; urgent: at once."""
        if self._pools is not None:
            if not is_urgent:
                self._pools.drain()
            self._pools.wait_until_drained(0 if is_urgent else 30)
            self._cluster.stop()
            self._pools = None
        if self.is_leading:
            self._place.ledger.with_retry(lambda cursor: supervision.resign(cursor, self._me), deadline_s=2)
            self.is_leading = False

    def _renew(self, cursor: Cursor) -> None:
        other = supervision.current(cursor)
        is_dead = other.host == host() and other.pid is not None and process.is_gone(other.pid, other.pid_started)
        epoch = supervision.take(
            cursor, self._me, identity(), self.dashboard, EXPIRE_S, dead=other.holder if is_dead else None
        )
        if epoch is None and self.is_leading:
            log.warning("supervision was lost to another process: draining")
            if self._pools is not None:
                self._pools.drain()
        self.is_leading = epoch is not None

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
            active = projects.active(cursor, EXPIRE_S)
        for project_id in active:
            self._place.ledger.with_retry(lambda cursor, own=project_id: successors.derive(cursor, own), deadline_s=5)

    def _scale(self) -> None:
        with self._place.ledger.transaction() as cursor:
            backlog, plans = jobs.backlog(cursor), projects.plans(cursor)
        if self._pools is None:
            if not backlog:
                return  # no work, no Ray
            self._start_ray()
        elif not self._cluster.is_alive():
            self._restart_ray()
        assert self._pools is not None
        self._pools.update(backlog, plans.values())

    def _start_ray(self) -> None:
        self._cluster.start()
        self._pools = Pools(self._cluster, self._pipeline, self._assign, self._buried)
        with self._place.ledger.transaction() as cursor:
            self._renew(cursor)

    def _restart_ray(self) -> None:
        log.warning("ray is gone; starting it again")
        assert self._pools is not None
        lost = self._pools.lost()
        self._cluster.stop()
        self._place.end_workers(lost)
        self._buried(lost, False)
        self._start_ray()

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
        self._place.ledger.with_retry(
            lambda cursor: jobs.release_workers(cursor, worker_ids, by_own_work=by_own_work), deadline_s=5
        )

    def _is_due(self, what: str, every_s: float, now: float) -> bool:
        if now - self._last.get(what, -1e9) < every_s:
            return False
        self._last[what] = now
        return True
