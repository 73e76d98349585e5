"""How many actors each pool has, from snapshots."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_miner.engine.scaling import (
    GROW_S,
    IDLE_S,
    Bound,
    PoolState,
    decide,
    gpu_share,
    scale_factor,
    snapshot,
)

POOL = PoolState(
    name="extract",
    stage="extract",
    depth=2,
    waiting=0,
    running=0,
    actors=0,
    starting=0,
    loading=0,
    share_cpus=1.0,
    share_gpus=0.0,
    most=100,
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


BUSY = replace(POOL, waiting=9, running=1, actors=1)


def _whys(*pools: PoolState, cpus: float = 8) -> dict[str, str]:
    return {name: decision.why for name, decision in decide(pools, cpus, 0).items()}


def test_a_bound_is_met_at_once_and_says_so() -> None:
    assert _actors(replace(BUSY, bound=Bound(4, 4))) == {"extract": 4}
    assert _whys(replace(BUSY, bound=Bound(4, 4))) == {"extract": "4 asked"}
    assert _actors(replace(BUSY, actors=6, running=6, bound=Bound(4, 4))) == {"extract": 4}


def test_within_a_range_the_backlog_says_how_many() -> None:
    pool = replace(BUSY, bound=Bound(2, 3))
    assert _actors(replace(pool, waiting=0)) == {"extract": 2}
    assert _actors(replace(pool, actors=2)) == {"extract": 3}
    assert _actors(replace(pool, actors=3)) == {"extract": 3}


def test_a_bound_of_none_stops_a_stage_that_has_work() -> None:
    assert _actors(replace(BUSY, bound=Bound(0, 0))) == {"extract": 0}


def test_without_work_a_bound_holds_nobody() -> None:
    idle = replace(POOL, actors=4, idle_s=IDLE_S + 1, bound=Bound(4, 4))
    assert _actors(idle) == {"extract": 0}
    assert _actors(replace(POOL, bound=Bound(4, 4))) == {"extract": 0}


def test_no_more_than_fits_is_started_and_the_rest_is_said() -> None:
    pool = replace(BUSY, bound=Bound(4, 4))
    assert _actors(pool, cpus=3) == {"extract": 3}
    assert _whys(pool, cpus=3) == {"extract": "4 asked; only 3 fit now"}


def test_a_bound_makes_room_for_the_first_actor_of_another_stage() -> None:
    greedy = replace(BUSY, actors=4, running=4, bound=Bound(4, 4))
    newcomer = replace(POOL, name="detect", stage="detect", depth=5, waiting=1)
    assert _actors(greedy, newcomer, cpus=4) == {"extract": 3, "detect": 1}
    settled = (replace(greedy, actors=3), replace(newcomer, actors=1, running=1, waiting=0))
    assert _actors(*settled, cpus=4) == {"extract": 3, "detect": 1}
    assert _whys(*settled, cpus=4)["extract"] == "4 asked; only 3 fit now"


def test_who_is_loading_is_not_ended_for_a_bound() -> None:
    loading = replace(BUSY, actors=3, starting=2, loading=2, bound=Bound(1, 1))
    assert _actors(loading) == {"extract": 2}
    assert _whys(loading) == {"extract": "1 asked; who is loading is not ended"}
    pending = replace(loading, loading=0)
    assert _actors(pending) == {"extract": 1}


def test_a_bound_is_shared_by_all_models_of_a_stage() -> None:
    one = replace(BUSY, name="detect 1", stage="detect", depth=5, waiting=9, bound=Bound(4, 4))
    two = replace(one, name="detect 2", waiting=1)
    assert _actors(one, two) == {"detect 1": 3, "detect 2": 1}
    only_one = replace(one, bound=Bound(1, 1)), replace(two, bound=Bound(1, 1), actors=0)
    assert _actors(*only_one) == {"detect 1": 1, "detect 2": 0}
    finished = replace(only_one[0], waiting=0, running=0, idle_s=1), only_one[1]
    assert _actors(*finished) == {"detect 1": 0, "detect 2": 1}


def test_actors_that_would_only_wait_for_each_other_are_not_started() -> None:
    pool = replace(BUSY, most=1, bound=Bound(2, 2))
    assert _actors(pool) == {"extract": 1}
    assert _whys(pool) == {"extract": "2 asked; more than 1 would wait for each other"}


@given(
    st.lists(
        st.tuples(*(st.integers(0, 6) for _ in range(4)), st.sampled_from([0.25, 0.5, 1.0])), min_size=1, max_size=5
    ),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_bounds_hold_for_any_snapshot(drawn: list[tuple[int, int, int, int, float]], least: int, further: int) -> None:
    bound = Bound(least, least + further)
    pools = [
        replace(
            POOL, name=str(n), stage=str(n % 2), depth=n % 2, waiting=waiting, running=min(running, actors),
            actors=actors, starting=min(loading, actors), loading=min(loading, actors), share_cpus=share,
            bound=bound if n % 2 else None,
        )
        for n, (waiting, running, actors, loading, share) in enumerate(drawn)
    ]  # fmt: skip
    found = decide(pools, 6, 0)
    bounded = [pool for pool in pools if pool.bound is not None]
    total = sum(found[pool.name].actors for pool in bounded)
    assert total <= max(bound.most, sum(pool.loading for pool in bounded))
    grown = any(found[pool.name].actors > max(1, pool.actors) for pool in pools)
    assert not grown or sum(found[pool.name].actors * pool.share_cpus for pool in pools) <= 6 + 1e-9
    if total < bound.least and any(pool.has_work for pool in bounded):
        assert all("asked" in found[pool.name].why or found[pool.name].why.startswith("makes room")
                   for pool in bounded if pool.has_work)  # fmt: skip


def test_a_snapshot_is_plain_values_with_what_was_decided() -> None:
    found = snapshot([BUSY], decide([BUSY], 8, 0), 8, 0)
    (pool,) = found["pools"]
    assert (pool["name"], pool["waiting"], pool["actors"], pool["wanted"]) == ("extract", 9, 1, 2)
    assert pool["why"] == "9 wait: one more" and json.loads(json.dumps(found)) == found
