"""A changed configuration costs what it changes: which jobs a second registration makes, and none besides."""

from collections import Counter
from typing import Any

import pytest

from data_miner.errors import NeverError
from data_miner.ledger import projects, retry
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from data_miner.records import FrameRow
from tests.support.ledger import Miner, World, brute_force, kept, plan, register, rows, run_sql, state_of

WORLD = World({"one": ["a", "b", "c"], "two": ["c", "d"]}, titles={"d": "cgi door"})
SEGMENTS = 12


@pytest.fixture
def miner(database: Ledger) -> Miner:
    """A worker of a project that is done."""
    register(database, WORLD)
    found = Miner(database, WORLD)
    found.run()
    found.done.clear()
    return found


def change(miner: Miner, **turned: Any) -> Counter[str]:
    """Register with something turned and mine to the end; returns the jobs that were done, by stage."""
    project_id = register(miner.ledger, miner.world, **turned)
    miner.done.clear()
    miner.run()
    turned = {name: value for name, value in turned.items() if name not in ("limit", "refresh", "name")}
    assert kept(miner.ledger, project_id) == brute_force(miner.ledger, miner.world, project_id, plan(**turned))
    assert not rows(miner.ledger, "SELECT FROM job WHERE state NOT IN ('done', 'superseded')")
    return Counter(stage for stage, _, _ in miner.done)


def test_the_same_configuration_makes_no_job(miner: Miner) -> None:
    before = state_of(miner.ledger)
    assert change(miner) == {}
    assert state_of(miner.ledger) == before


def test_a_threshold_is_sql_and_only_newly_kept_frames_are_detected(miner: Miner) -> None:
    before = {
        (row.segment_id, row.pts_ms) for row in rows(miner.ledger, "SELECT segment_id, pts_ms FROM detection_run")
    }
    done = change(miner, positive=0.2)
    assert set(done) <= {"dedup", "detect"} and 0 < done["dedup"] <= SEGMENTS
    now = {(row.segment_id, row.pts_ms) for row in rows(miner.ledger, "SELECT segment_id, pts_ms FROM detection_run")}
    kept_now = {
        (r.segment_id, r.pts_ms)
        for r in rows(miner.ledger, "SELECT segment_id, pts_ms FROM project_frame WHERE is_kept")
    }
    assert now - before == kept_now - before and len(now) > len(before)
    assert change(miner).keys() <= {"dedup", "detect"}  # back again: what was detected once is known
    assert change(miner, positive=0.2) == {"dedup": done["dedup"]}


def test_a_threshold_that_changes_no_frame_changes_nothing(miner: Miner) -> None:
    before = state_of(miner.ledger)
    assert change(miner, positive=0.3000001) == {}
    assert state_of(miner.ledger) == before


def test_a_lower_sharpness_scores_again_only_where_a_frame_is_newly_good(miner: Miner) -> None:
    blurry = rows(miner.ledger, "SELECT DISTINCT segment_id FROM frame WHERE sharpness = 10")
    assert change(miner, min_sharpness=5.0)["filter"] == len(blurry)


def test_prompts_filter_every_segment_again_and_extract_none(miner: Miner) -> None:
    done = change(miner, prompts="a gate")
    assert done["filter"] == done["dedup"] == SEGMENTS
    assert set(done) <= {"filter", "dedup", "detect"}


def test_conf_makes_no_job_and_changes_the_boxes_that_count(miner: Miner) -> None:
    count = "SELECT count(*) AS n FROM project_box"
    before = rows(miner.ledger, count)[0].n
    assert change(miner, conf=0.8) == {}
    assert 0 < rows(miner.ledger, count)[0].n < before
    assert change(miner, conf=0.3) == {}
    assert rows(miner.ledger, count)[0].n == before


def test_a_detector_detects_kept_frames_only_and_its_predecessor_stays(miner: Miner) -> None:
    before = len(rows(miner.ledger, "SELECT FROM detection_run"))
    done = change(miner, detector="d2")
    with_kept = rows(miner.ledger, "SELECT DISTINCT segment_id FROM project_frame WHERE is_kept")
    assert done == {"detect": len(with_kept)}
    assert len(rows(miner.ledger, "SELECT FROM detection_run")) == 2 * before
    assert change(miner) == {}  # the first one's results are still there


def test_work_that_no_pool_would_load_any_more_is_put_aside(miner: Miner) -> None:
    waiting = "SELECT FROM job WHERE state = 'waiting'"
    register(miner.ledger, WORLD, detector="d2")
    assert rows(miner.ledger, waiting)
    register(miner.ledger, WORLD)  # what the first detector found is still there: nothing is to be done
    assert not rows(miner.ledger, waiting)
    again = "UPDATE job SET state = 'waiting', key = plan #>> '{detect,key}', runtime_key = 'of another batch'"
    assert run_sql(miner.ledger, f"{again} FROM project WHERE stage = 'detect' AND project.id = project_id")
    register(miner.ledger, WORLD, conf=0.8)  # the same key: the run would wait for ever
    assert not rows(miner.ledger, waiting)


@pytest.mark.parametrize("distance", [0, 12, None])
def test_a_dedup_distance_decides_all_again_from_stored_hashes(miner: Miner, distance: int | None) -> None:
    done = change(miner, hash_distance=distance)
    assert done["dedup"] == SEGMENTS and set(done) <= {"dedup", "detect"}


def test_another_cut_extracts_again_and_downloads_nothing(miner: Miner) -> None:
    done = change(miner, segment_s=5)
    assert done["extract"] == done["filter"] == done["dedup"] == 20
    assert "download" not in done
    assert change(miner).keys() <= {"filter", "dedup", "detect"}  # the first cut's pictures are still there


def test_a_local_file_is_the_same_at_any_height(miner: Miner) -> None:
    assert change(miner, max_height=1080) == {}


def test_what_is_there_serves_whoever_asks_for_no_more(database: Ledger) -> None:
    world = World(WORLD.listings, site="tube")
    register(database, world, max_height=1080)
    miner = Miner(database, world)
    miner.run()
    assert change(miner, max_height=720) == {}
    register(database, world, "second", max_height=480)
    miner.done.clear()
    miner.run()
    assert {"download", "extract"}.isdisjoint(stage for stage, _, _ in miner.done)
    done = change(miner, max_height=2160)
    assert done["download"] == 4 and done["extract"] == SEGMENTS


def test_a_policy_drops_and_lets_in_again(miner: Miner) -> None:
    assert change(miner, skip_keywords=["cgi"]).keys() <= {"dedup", "detect"}
    assert rows(miner.ledger, "SELECT video_id FROM project_video WHERE reason = 'keyword'")[0].video_id == "local:d"
    done = change(miner)
    assert done["filter"] == 3 and "extract" not in done and "download" not in done


def test_a_listing_that_is_dropped_is_never_downloaded(database: Ledger) -> None:
    register(database, WORLD, skip_keywords=["cgi"])
    miner = Miner(database, WORLD)
    miner.run()
    assert "local:d" not in {video for _, video, _ in miner.done}
    assert change(miner)["download"] == 1


def test_a_limit_takes_the_first_of_the_order_and_without_it_the_rest_follows(database: Ledger) -> None:
    register(database, WORLD, limit=2, skip_keywords=["cgi"])
    miner = Miner(database, WORLD)
    miner.run()
    assert [video for stage, video, _ in miner.done if stage == "download"] == ["local:a", "local:b"]
    assert change(miner, limit=3, skip_keywords=["cgi"])["download"] == 1
    assert change(miner, limit=9, skip_keywords=["cgi"]) == {}
    assert change(miner)["download"] == 1


def test_a_video_dropped_under_a_limit_makes_room_for_the_next(database: Ledger) -> None:
    register(database, WORLD, limit=2)
    miner = Miner(database, WORLD)
    miner.run(["expand"])
    job = miner.claim(["download"])
    assert job is not None
    miner.skip(job, "gone")
    miner.run()
    assert [video for stage, video, _ in miner.done if stage == "download"] == ["local:a", "local:b", "local:c"]


def test_a_refresh_keeps_ranks_and_appends_what_is_new(miner: Miner) -> None:
    before = {
        row.video_id: tuple(row)
        for row in rows(miner.ledger, "SELECT video_id, moved, ordinal, rank FROM project_video")
    }
    miner.world = World({"one": ["n", "b", "a"], "two": ["m"]}, titles=WORLD.titles)
    done = change(miner, refresh=True)
    assert done["expand"] == 2 and done["download"] == 2
    after = {
        row.video_id: tuple(row)
        for row in rows(miner.ledger, "SELECT video_id, moved, ordinal, rank FROM project_video")
    }
    assert {video: after[video] for video in before} == before
    assert after["local:n"] == ("local:n", 1, 0, 3) and after["local:m"] == ("local:m", 1, 1, 2)
    ranks = rows(
        miner.ledger,
        "SELECT video_id, rank FROM source_video JOIN source ON source.id = source_id WHERE ordinal = 0 ORDER BY rank",
    )
    assert [row.video_id[-1] for row in ranks] == list("abcn")


def test_a_source_added_later_comes_behind_all_that_is_there(miner: Miner) -> None:
    miner.world = World({**WORLD.listings, "three": ["e", "a"]}, titles=WORLD.titles)
    done = change(miner)
    assert (done["expand"], done["download"], done["dedup"]) == (1, 1, 3)


def test_an_ingest_and_an_annotation_are_the_same_as_both_at_once(database: Ledger, database_two: Ledger) -> None:
    register(database, WORLD, stages=("expand", "download", "extract"))
    Miner(database, WORLD).run()
    assert not rows(database, "SELECT FROM job WHERE stage IN ('filter', 'dedup', 'detect')")
    register(database, WORLD, stages=("filter", "dedup", "detect"))
    Miner(database, WORLD).run()
    register(database_two, WORLD)
    Miner(database_two, WORLD).run()
    assert state_of(database) == state_of(database_two)


def test_a_filter_that_finishes_under_old_prompts_is_done_once_more(database: Ledger) -> None:
    register(database, WORLD)
    miner = Miner(database, WORLD)
    miner.run(["expand", "download", "extract"])
    job = miner.claim(["filter"])
    assert job is not None
    save, _ = miner._process(job)
    project_id = register(database, WORLD, prompts="a gate")
    assert miner.commit(job, save) == "done"
    miner.run()
    assert kept(database, project_id) == brute_force(database, WORLD, project_id, plan(prompts="a gate"))


def test_a_detection_that_finishes_under_an_old_detector_is_done_once_more(miner: Miner) -> None:
    register(miner.ledger, WORLD, detector="d2")
    job = miner.claim(["detect"])
    assert job is not None
    register(miner.ledger, WORLD, detector="d3")
    assert miner.finish(job) == "done"
    assert change(miner, detector="d3")["detect"]


def test_other_pictures_under_the_same_key_are_judged_anew(miner: Miner) -> None:
    """A file that had to be fetched again may be another one, though the site calls it the same."""

    class Shorter(World):
        def frames(self, video_id: str, start_ms: int, end_ms: int) -> list[FrameRow]:
            return super().frames(video_id, start_ms, end_ms)[: 1 if start_ms == 0 else 9]

    run_sql(miner.ledger, "UPDATE segment SET shard = NULL WHERE start_ms = 0")
    miner.world = Shorter(WORLD.listings, titles=WORLD.titles)
    assert change(miner).keys() >= {"extract", "filter", "dedup"}
    frames = rows(miner.ledger, "SELECT count(*) AS n FROM frame JOIN segment ON id = segment_id WHERE start_ms = 0")
    assert frames[0].n == 4


def test_pictures_made_again_keep_what_was_said_of_them(miner: Miner) -> None:
    before = state_of(miner.ledger)
    with miner.ledger.transaction() as cursor:
        cursor.execute("""UPDATE segment SET shard = NULL WHERE start_ms = 0""")
        cursor.execute("""UPDATE "fetch" SET path = NULL WHERE video_id = 'local:a'""")
    done = change(miner)
    assert done == {"download": 1, "extract": 4}
    assert state_of(miner.ledger) == before


def test_dead_jobs_are_revived_by_hand_and_end_well(database: Ledger) -> None:
    def broken(job: Job) -> None:
        if job.video_id in ("local:a", "local:c"):
            raise NeverError("unreadable", "no")

    project_id = register(database, WORLD)
    miner = Miner(database, WORLD, {"extract": broken})
    miner.run()
    miner.effects = {}
    revived = database.with_retry(lambda cursor: retry.revive(cursor, project_id, reason="unreadable"))
    assert revived == {("extract", "unreadable"): 6}
    miner.run()
    assert kept(database, project_id) == brute_force(database, WORLD, project_id, plan())
    assert not rows(database, "SELECT FROM project_segment WHERE is_held OR NOT is_decided")
    moved = rows(database, "SELECT DISTINCT video_id FROM project_segment WHERE moved = 1")
    assert {row.video_id for row in moved} == {"local:a", "local:c"}


def test_a_paused_project_makes_no_job_until_it_goes_on(database: Ledger) -> None:
    project_id = register(database, WORLD)
    with database.transaction() as cursor:
        cursor.execute("UPDATE project SET is_paused = true")
        assert project_id not in projects.plans(cursor)
    miner = Miner(database, WORLD)
    miner.run()
    assert {stage for stage, _, _ in miner.done} == {"expand"}
    with database.transaction() as cursor:
        cursor.execute("UPDATE project SET is_paused = false")
    register(database, WORLD)
    miner.run()
    assert kept(database, project_id) == brute_force(database, WORLD, project_id, plan())
