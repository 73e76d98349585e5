"""A stage that cannot be opened ends the run that needs it, and no other's."""

from typing import Any

from data_miner.engine.pool import Pool
from data_miner.engine.pools import Pools
from data_miner.errors import ModelError
from data_miner.stages.base import Share
from pipelines.mine import PIPELINE

ERROR = ModelError("best.pt: no such weights")


class Idle:
    """A cluster with nothing in it."""

    def capacity(self) -> tuple[float, float]:
        return 2.0, 0.0

    def look(self, members: list[Any]) -> list[Any]:
        return []


def _pools(*followed: str) -> Pools:
    made = Pools(Idle(), PIPELINE, lambda pool, cpus: None, lambda ids, own: None)  # type: ignore[arg-type, return-value]
    plans = [{"stages": ["detect"], "detect": {"runtime_key": key, "runtime": {}}} for key in followed]
    made.update([], plans, {}, plans)
    return made


def _pool(runtime_key: str) -> Pool:
    return Pool("detect", ("detect",), runtime_key, {}, Share(1.0), 5)


def test_a_pool_that_a_followed_project_needs_ends_the_run() -> None:
    pools, own = _pools("mine"), _pool("mine")
    pools._cannot(own, ERROR)
    assert pools.error is ERROR and not own.is_held


def test_a_pool_that_only_others_need_is_held_and_the_run_goes_on() -> None:
    pools, other = _pools("mine"), _pool("left behind")
    pools._cannot(other, ERROR)
    assert pools.error is None and other.is_held
