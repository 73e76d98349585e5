"""How many actors each pool should have: a pure function of a snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

IDLE_S = 8.0  # an actor costs seconds to start; a pool that was empty for so long goes to zero
GROW_S = 2.0  # between two steps: its speed is known before the next


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool as the supervisor sees it."""

    name: str
    depth: int  # place of its stage in the pipeline; the deepest is served first
    waiting: int
    running: int
    actors: int  # started or starting
    starting: int  # of these, pending or loading their model
    share_cpus: float
    share_gpus: float
    most: int  # never more actors than this
    idle_s: float = 0.0  # since it last had work
    opening_s: float = 0.0  # what an actor costs before it takes work
    open_s: float = 1e9  # since the newest opened

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
    time; a pool without work keeps its actors for a moment and then has none.
    """
    found = {pool.name: _floor(pool) for pool in pools}
    free = _free(pools, found, cpus, gpus)
    for pool in sorted(pools, key=lambda p: -p.depth):
        if _is_starved(pool) and pool.share_cpus <= free[0] + 1e-9 and pool.share_gpus <= free[1] + 1e-9:
            found[pool.name] = Decision(found[pool.name].actors + 1, f"{pool.waiting} wait: one more")
            free = (free[0] - pool.share_cpus, free[1] - pool.share_gpus)
            break
    return _make_room(pools, found, free)


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
