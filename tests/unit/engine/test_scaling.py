"""How many actors each pool has, from snapshots."""

from dataclasses import replace

import pytest

from data_miner.engine.scaling import GROW_S, IDLE_S, PoolState, decide, gpu_share, scale_factor

POOL = PoolState(
    name="extract", depth=2, waiting=0, running=0, actors=0, starting=0, share_cpus=1.0, share_gpus=0.0, most=100
)


def _actors(*pools: PoolState, cpus: float = 8, gpus: float = 0) -> dict[str, int]:
    return {name: decision.actors for name, decision in decide(pools, cpus, gpus).items()}


def test_a_pool_with_waiting_work_gets_one_actor() -> None:
    assert _actors(replace(POOL, waiting=1)) == {"extract": 1}


def test_a_pool_without_work_has_none() -> None:
    assert _actors(POOL) == {"extract": 0}


def test_a_pool_that_ran_dry_keeps_its_actor_for_a_moment_and_then_lets_go() -> None:
    dry = replace(POOL, actors=1)
    assert _actors(replace(dry, idle_s=IDLE_S - 1)) == {"extract": 1}
    assert _actors(replace(dry, idle_s=IDLE_S + 1)) == {"extract": 0}


def test_an_actor_that_is_dear_to_open_is_kept_longer() -> None:
    dry = replace(POOL, actors=1, idle_s=IDLE_S + 1, opening_s=30)
    assert _actors(dry) == {"extract": 1}
    assert _actors(replace(dry, idle_s=31)) == {"extract": 0}


def test_waiting_work_makes_a_pool_grow_by_one() -> None:
    assert _actors(replace(POOL, waiting=50, running=1, actors=1)) == {"extract": 2}


def test_nothing_grows_before_the_last_actor_has_opened() -> None:
    assert _actors(replace(POOL, waiting=50, actors=1, starting=1)) == {"extract": 1}


def test_work_must_wait_as_long_as_an_actor_takes_to_open_before_one_is_bought() -> None:
    loaded = replace(POOL, waiting=50, running=1, actors=1, opening_s=9)
    assert _actors(replace(loaded, open_s=8)) == {"extract": 1}
    assert _actors(replace(loaded, open_s=9)) == {"extract": 2}
    assert _actors(replace(loaded, opening_s=0, open_s=GROW_S / 2)) == {"extract": 1}


def test_a_pool_never_exceeds_its_most() -> None:
    assert _actors(replace(POOL, waiting=50, actors=4, most=4)) == {"extract": 4}


def test_the_deepest_starved_pool_grows_first_and_alone() -> None:
    shallow = replace(POOL, name="extract", depth=2, waiting=9, actors=1)
    deep = replace(POOL, name="detect", depth=5, waiting=9, actors=1)
    assert _actors(shallow, deep) == {"extract": 1, "detect": 2}


def test_nothing_grows_past_the_machine() -> None:
    assert _actors(replace(POOL, waiting=50, actors=2), cpus=2) == {"extract": 2}
    assert _actors(replace(POOL, waiting=50, actors=2, share_gpus=0.5), gpus=1) == {"extract": 2}


def test_the_second_actor_of_a_pool_makes_room_for_the_first_of_another() -> None:
    greedy = replace(POOL, name="extract", waiting=9, running=2, actors=2)
    newcomer = replace(POOL, name="detect", depth=5, waiting=1)
    assert _actors(greedy, newcomer, cpus=2) == {"extract": 1, "detect": 1}


def test_an_idle_pool_makes_room_before_one_that_works() -> None:
    idle = replace(POOL, name="filter", depth=3, actors=1, idle_s=1)
    working = replace(POOL, name="extract", waiting=9, running=1, actors=1)
    newcomer = replace(POOL, name="detect", depth=5, waiting=1)
    assert _actors(idle, working, newcomer, cpus=2) == {"filter": 0, "extract": 1, "detect": 1}


def test_room_on_a_gpu_is_made_by_those_who_are_on_it() -> None:
    on_cpu = replace(POOL, name="extract", waiting=9, running=4, actors=4)
    on_gpu = replace(POOL, name="filter", depth=3, waiting=9, running=2, actors=2, share_gpus=0.5)
    newcomer = replace(POOL, name="detect", depth=5, waiting=1, share_gpus=0.25)
    found = _actors(on_cpu, on_gpu, newcomer, cpus=16, gpus=1)
    assert found == {"extract": 4, "filter": 1, "detect": 1}


@pytest.mark.parametrize("cpus", [0.5, 1, 2, 3])
def test_five_stages_of_one_cpu_fit_on_any_machine(cpus: float) -> None:
    factor = scale_factor([1.0] * 5, cpus)
    pools = [replace(POOL, name=str(depth), depth=depth, waiting=9, share_cpus=factor, actors=0) for depth in range(5)]
    assert _actors(*pools, cpus=cpus) == {str(depth): 1 for depth in range(5)}
    assert 5 * factor <= cpus + 1e-9


def test_shares_that_fit_are_left_alone() -> None:
    assert scale_factor([0.25, 1, 1], 4) == 1


@pytest.mark.parametrize("needed", [0.75, 1.0, 1.25, 1.5, 2.0, 3.7])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_gpu_share_is_always_one_nth_and_all_of_them_fit(share: float, needed: float) -> None:
    found = gpu_share(share, needed, 1)
    assert 1 / found == pytest.approx(round(1 / found))
    assert found <= share
    assert needed * found / share <= 1 + 1e-9


def test_without_a_gpu_nobody_asks_for_one() -> None:
    assert gpu_share(0.5, 0.5, 0) == 0
