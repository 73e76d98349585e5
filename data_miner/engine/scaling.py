"""How many actors each pool should have: a pure function of a snapshot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

IDLE_S = 8.0  # an actor costs seconds to start; a pool that was empty for so long goes to zero
GROW_S = 2.0  # between two steps: its speed is known before the next


@dataclass(frozen=True, slots=True)
class Bound:
    """How many actors a person wants of a stage, over all its pools."""

    least: int  # while there is work: without any a pool goes to zero like every other
    most: int

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least}..{self.most}"


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool as the supervisor sees it."""

    name: str
    stage: str
    depth: int  # place of its stage in the pipeline; the deepest is served first
    waiting: int
    running: int
    actors: int  # started or starting
    starting: int  # of these, pending or loading their model
    loading: int  # of these, loading: never ended for a bound's sake
    share_cpus: float
    share_gpus: float
    most: int  # never more actors than this
    idle_s: float = 0.0  # since it last had work
    opening_s: float = 0.0  # what an actor costs before it takes work
    open_s: float = 1e9  # since the newest opened
    bound: Bound | None = None  # of its stage

    @property
    def has_work(self) -> bool:
        """Is there something to do or being done?"""
        return self.waiting + self.running > 0


@dataclass(frozen=True, slots=True)
class Decision:
    """How many actors a pool should have, and why, for `status --scaling`."""

    actors: int
    why: str


def scale_factor(shares: Sequence[float], capacity: float) -> float:
    """By how much all CPU shares shrink so that one actor of each pool fits; 1 when they fit as they are."""
    needed = sum(shares)
    return 1.0 if needed <= capacity or needed == 0 else capacity / needed


def gpu_share(share: float, needed: float, capacity: float) -> float:
    """A pool's share of a GPU when all pools with work need `needed` of `capacity`: 1/n, Ray hangs on others."""
    if share == 0 or capacity == 0 or needed <= capacity or share > 1:
        return share if capacity else 0.0
    return 1 / ceil(needed / capacity / share - 1e-9)


def decide(pools: Sequence[PoolState], cpus: float, gpus: float) -> dict[str, Decision]:
    """Say how many actors each pool should have.

    A pool with work has one; the deepest with more waiting than its actors take grows first, one step at a
    time; a pool without work keeps its actors for a moment and then has none. A person's bound on a stage comes
    before all this, as far as there is room.
    """
    found = _bounded(pools, {pool.name: _floor(pool) for pool in pools}, cpus, gpus)
    free = _free(pools, found, cpus, gpus)
    for pool in sorted(pools, key=lambda p: -p.depth):
        if _is_starved(pool) and _may_grow(pool, pools, found) and _fits(pool, free):
            found[pool.name] = Decision(found[pool.name].actors + 1, f"{pool.waiting} wait: one more")
            free = (free[0] - pool.share_cpus, free[1] - pool.share_gpus)
            break
    return _make_room(pools, found, free)


def snapshot(pools: Sequence[PoolState], found: Mapping[str, Decision], cpus: float, gpus: float) -> dict[str, Any]:
    """What was seen and decided, as plain values, for `status --scaling`. Times that pass are left out."""
    kept = ("name", "stage", "waiting", "running", "actors", "starting", "share_cpus", "share_gpus")
    rows = [
        {
            **{key: value for key, value in asdict(pool).items() if key in kept},
            "wanted": found[pool.name].actors,
            "why": found[pool.name].why,
        }
        for pool in sorted(pools, key=lambda p: (p.depth, p.name))
    ]
    return {"cpus": cpus, "gpus": gpus, "pools": rows}


def _floor(pool: PoolState) -> Decision:
    if pool.has_work:
        return Decision(max(1, pool.actors), "has work")
    if pool.actors and pool.idle_s < max(IDLE_S, pool.opening_s):
        return Decision(pool.actors, "idle for a moment")
    return Decision(0, "no work")


def _is_starved(pool: PoolState) -> bool:
    """Do those who work not suffice?

    An actor is bought when work has waited for as long as one costs to open (the ski rental rule: at most twice
    what hindsight would pay). On two short videos a second detector was 0.6 GB and 9 s for nothing.
    """
    if pool.actors == 0 or pool.starting or pool.actors >= pool.most:
        return False
    return pool.waiting > pool.actors and pool.open_s >= max(GROW_S, pool.opening_s)


def _bounded(pools: Sequence[PoolState], found: dict[str, Decision], cpus: float, gpus: float) -> dict[str, Decision]:
    """Bring each stage that a person has spoken on within the bound, the deepest first."""
    deepest_first = sorted(pools, key=lambda p: -p.depth)
    for stage, bound in {pool.stage: pool.bound for pool in deepest_first}.items():
        own = [pool for pool in pools if pool.stage == stage]
        if bound is not None:
            found = _at_least(own, bound, _at_most(own, bound, found), lambda now: _free(pools, now, cpus, gpus))
    return found


def _at_most(own: Sequence[PoolState], bound: Bound, found: dict[str, Decision]) -> dict[str, Decision]:
    """Those without work go first, then the larger; the only actor of a model's pool goes last."""
    while _total(own, found) > bound.most:
        spare = [pool for pool in own if found[pool.name].actors > pool.loading]
        if not spare:
            return _said(own, found, f"{bound} asked; who is loading is not ended")
        pool = min(spare, key=lambda p: (p.has_work, found[p.name].actors == 1, p.actors > 0, -found[p.name].actors))
        found = {**found, pool.name: Decision(found[pool.name].actors - 1, f"{bound} asked")}
    return found


def _at_least(
    own: Sequence[PoolState],
    bound: Bound,
    found: dict[str, Decision],
    free: Callable[[Mapping[str, Decision]], tuple[float, float]],
) -> dict[str, Decision]:
    """The pool whose actors have most to do grows first; without any work nothing is held for a bound."""
    busy = [pool for pool in own if pool.has_work]
    if not busy:
        return found
    while _total(own, found) < bound.least:
        total, useful = _total(own, found), [pool for pool in busy if found[pool.name].actors < pool.most]
        fitting = [pool for pool in useful if _fits(pool, free(found))]
        if not fitting:
            why = f"only {total} fit now" if useful else f"more than {total} would wait for each other"
            return _said(busy, found, f"{bound} asked; {why}")
        pool = max(fitting, key=lambda p: p.waiting / (found[p.name].actors + 1))
        found = {**found, pool.name: Decision(found[pool.name].actors + 1, f"{bound} asked")}
    return _said(busy, found, f"{bound} asked") if _total(own, found) == bound.most else found


def _said(own: Sequence[PoolState], found: Mapping[str, Decision], why: str) -> dict[str, Decision]:
    return {**found, **{pool.name: replace(found[pool.name], why=why) for pool in own}}


def _total(own: Sequence[PoolState], found: Mapping[str, Decision]) -> int:
    return sum(found[pool.name].actors for pool in own)


def _may_grow(pool: PoolState, pools: Sequence[PoolState], found: Mapping[str, Decision]) -> bool:
    own = [other for other in pools if other.stage == pool.stage]
    return pool.bound is None or _total(own, found) < pool.bound.most


def _fits(pool: PoolState, free: tuple[float, float]) -> bool:
    return pool.share_cpus <= free[0] + 1e-9 and pool.share_gpus <= free[1] + 1e-9


def _free(pools: Sequence[PoolState], found: Mapping[str, Decision], cpus: float, gpus: float) -> tuple[float, float]:
    used_cpus = sum(found[pool.name].actors * pool.share_cpus for pool in pools)
    used_gpus = sum(found[pool.name].actors * pool.share_gpus for pool in pools)
    return cpus - used_cpus, gpus - used_gpus


def _make_room(
    pools: Sequence[PoolState], found: dict[str, Decision], free: tuple[float, float]
) -> dict[str, Decision]:
    """One actor of each pool with work comes before the second of any."""
    is_short_of_cpus, is_short_of_gpus = free[0] < -1e-9, free[1] < -1e-9
    for pool in sorted(pools, key=lambda p: (p.has_work, -found[p.name].actors)):
        helps = (is_short_of_cpus and pool.share_cpus > 0) or (is_short_of_gpus and pool.share_gpus > 0)
        if helps and found[pool.name].actors > (1 if pool.has_work else 0):
            fewer = replace(found[pool.name], actors=found[pool.name].actors - 1, why="makes room for others")
            return {**found, pool.name: fewer}
    return found
