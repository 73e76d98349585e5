"""Dedup's order: the kept set is a function of passed frames and data order, whoever was first and whatever changed."""

import random
import threading

import pytest

from data_miner.errors import NeverError, SiteError
from data_miner.ledger import admission, jobs, sites, successors
from data_miner.ledger.admission import StaleIndexError, Verdict
from data_miner.ledger.connection import Ledger
from tests.support.ledger import (
    ORDER,
    Miner,
    World,
    check_kept,
    kept,
    register,
    rows,
    run_sql,
    state_of,
)

WORLD = World({"one": ["a", "b"], "two": ["c", "b", "d"], "three": ["a", "e"]})


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_work_keeps_the_same_frames(database: Ledger, database_two: Ledger, seed: int) -> None:
    world = World(WORLD.listings, seed=seed)
    project_id = register(database, world)
    Miner(database, world).run()
    found = check_kept(database, world, project_id)
    assert 3 < len(found) < 15  # some of each
    register(database_two, world)
    Miner(database_two, world).run_at_random(random.Random(seed))
    assert state_of(database_two) == state_of(database)


def test_of_two_admitters_at_one_version_only_one_commits(database: Ledger) -> None:
    project_id = register(database, WORLD)
    Miner(database, WORLD).run(("filter", "extract", "download", "expand"))
    first, second = (
        row.segment_id
        for row in rows(
            database,
            "SELECT segment_id FROM job WHERE stage = 'dedup' ORDER BY ordinal, rank, start_ms LIMIT 2",
        )
    )
    with database.transaction() as cursor:
        mine = admission.standing(cursor, project_id)
        here = admission.passed_frames(cursor, project_id, first)
        later = admission.passed_frames(cursor, project_id, second)
    yours = mine
    barrier, outcomes = threading.Barrier(2), list[str]()

    def admit(version: int) -> None:
        frames = [Verdict(int(t)) for t in here.pts_ms]
        with database.transaction() as cursor:
            barrier.wait()
            try:
                admission.admit(cursor, project_id, first, version, frames)
                outcomes.append("committed")
            except StaleIndexError:
                outcomes.append("stale")
                cursor.connection.rollback()

    threads = [threading.Thread(target=admit, args=(index.version,)) for index in (mine, yours)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["committed", "stale"]
    with database.transaction() as cursor, pytest.raises(StaleIndexError):
        admission.admit(cursor, project_id, second, mine.version, [Verdict(int(t)) for t in later.pts_ms])


def test_a_segment_waits_for_those_before_it(database: Ledger) -> None:
    project_id = register(database, WORLD)
    Miner(database, WORLD).run(("filter", "extract", "download", "expand"))
    _, second = rows(
        database, "SELECT segment_id FROM job WHERE stage = 'dedup' ORDER BY ordinal, rank, start_ms LIMIT 2"
    )
    with database.transaction() as cursor:
        here = admission.passed_frames(cursor, project_id, second.segment_id)
        version = admission.standing(cursor, project_id).version
        with pytest.raises(StaleIndexError):
            admission.admit(cursor, project_id, second.segment_id, version, [Verdict(int(t)) for t in here.pts_ms])
        cursor.connection.rollback()


def test_an_admission_of_frames_that_do_not_pass_any_more_is_refused(database: Ledger) -> None:
    project_id = register(database, WORLD)
    miner = Miner(database, WORLD)
    miner.run(("filter", "extract", "download", "expand"))
    job = miner.claim(["dedup"])
    assert job is not None
    save, _ = miner._process(job)
    register(database, WORLD, positive=0.6)  # nothing is decided yet, so no version is raised
    assert miner.commit(job, save) == "early"
    miner.run()
    check_kept(database, WORLD, project_id, positive=0.6)


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_prompts_and_distance_may_change_at_any_moment(database: Ledger, seed: int) -> None:
    chance = random.Random(seed)
    project_id = register(database, WORLD)
    miner = Miner(database, WORLD)
    turned: dict[str, object] = {}
    for _ in range(6):
        for _ in range(chance.randrange(25)):
            miner.step(chance.sample(ORDER, len(ORDER)))
        turned = {
            "positive": chance.choice([0.2, 0.3, 0.6]),
            "min_sharpness": chance.choice([20.0, 55.0, 100.0]),
            "hash_distance": chance.choice([0, 3, 5]),
            "prompts": chance.choice(["a door", "a gate"]),
        }
        register(database, WORLD, **turned)
    miner.run_at_random(chance)
    check_kept(database, WORLD, project_id, **turned)


def test_a_source_that_brings_a_video_earlier_moves_it_before_it_is_decided(database: Ledger) -> None:
    project_id = register(database, WORLD)
    miner = Miner(database, WORLD)
    by_source = {job.source_id: job for job in iter(lambda: miner.claim(["expand"]), None)}
    later = sorted(by_source)[1:]
    for source_id in reversed(later):
        assert miner.finish(by_source[source_id]) == "done"
    miner.run(("detect", "dedup", "filter", "extract", "download"))
    assert not kept(database, project_id)  # nothing may be decided before the first source has spoken
    miner.finish(by_source[min(by_source)])
    miner.run()
    places = rows(database, "SELECT video_id, ordinal, rank FROM project_video ORDER BY ordinal, rank")
    assert [(row.video_id[-1], row.ordinal, row.rank) for row in places] == [
        ("a", 0, 0),
        ("b", 0, 1),
        ("c", 1, 0),
        ("d", 1, 2),
        ("e", 2, 1),
    ]
    check_kept(database, WORLD, project_id)


def test_a_dead_segment_holds_nobody_up_and_comes_back_at_the_end(database: Ledger) -> None:
    def broken(job: jobs.Job) -> None:
        if job.video_id == "local:a":
            raise NeverError("unreadable", "the stream breaks")

    project_id = register(database, WORLD)
    miner = Miner(database, WORLD, {"extract": broken})
    miner.run()
    assert {video for video, _ in check_kept(database, WORLD, project_id)} & {"local:b", "local:c"}
    miner.effects = {}
    run_sql(database, "UPDATE job SET state = 'waiting', failures = 0 WHERE state = 'dead'")
    with database.transaction() as cursor:
        successors.derive(cursor, project_id)
    miner.run()
    found = check_kept(database, WORLD, project_id)
    assert found[-1][0] == "local:a"
    assert {row.moved for row in rows(database, "SELECT moved FROM project_segment WHERE video_id = 'local:a'")} == {1}


def test_a_video_that_died_of_its_filter_keeps_nothing(database: Ledger) -> None:
    def broken(job: jobs.Job) -> None:
        if job.video_id == "local:a":
            raise NeverError("model", "no")

    project_id = register(database, WORLD)
    miner = Miner(database, WORLD)
    miner.run()
    miner.effects = {"filter": broken}
    register(database, WORLD, prompts="a gate")
    miner.run()
    assert "local:a" not in {video for video, _ in check_kept(database, WORLD, project_id, prompts="a gate")}


def test_a_blocked_video_lets_others_pass_and_is_moved_to_the_end(database: Ledger) -> None:
    def refused(job: jobs.Job) -> None:
        if job.video_id == "tube:b":
            raise SiteError("bot_check", "prove it")

    world = World(WORLD.listings, site="tube")
    project_id = register(database, world)
    miner = Miner(database, world, {"download": refused})
    miner.run()
    assert {row.state for row in rows(database, "SELECT state FROM site")} == {"shut"}
    with database.transaction() as cursor:
        assert successors.derive(cursor, project_id) == 0
    check_kept(database, world, project_id)
    miner.effects = {}
    run_sql(database, "UPDATE site SET next_try = now()")
    database.with_retry(sites.tick)
    miner.run()
    order = [
        row.video_id[-1] for row in rows(database, "SELECT video_id FROM project_video ORDER BY moved, ordinal, rank")
    ]
    assert order[0] == "a" and sorted(order) == list("abcde")
    assert all(row.is_cut and not row.is_held for row in rows(database, "SELECT is_cut, is_held FROM project_video"))
    check_kept(database, world, project_id)


def test_a_video_let_in_again_is_decided_at_its_old_place(database: Ledger) -> None:
    world = World(WORLD.listings, titles={"a": "cgi doors"})
    project_id = register(database, world, skip_keywords=["cgi"])
    miner = Miner(database, world)
    miner.run()
    assert "local:a" not in {video for video, _ in check_kept(database, world, project_id)}
    register(database, world)
    miner.run()
    assert check_kept(database, world, project_id)[0][0] == "local:a"
    register(database, world, skip_keywords=["cgi"])
    miner.run()
    assert "local:a" not in {video for video, _ in check_kept(database, world, project_id)}
    assert not rows(database, "SELECT FROM job WHERE state IN ('waiting', 'running')")
