"""What users ask of a project, on one whose numbers are known."""

import pytest

from data_miner.errors import LeaseLostError, NeverError, SiteError
from data_miner.ledger import projects, status, successors
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from tests.support.ledger import Miner, World, brute_force, kept, passes, plan, register, rows

WORLD = World(
    {"one": ["a", "b", "c"], "two": ["c", "d", "cgi"], "three": ["e", "f"]}, site="tube", titles={"cgi": "cgi door"}
)


def done(ledger: Ledger, project_id: int) -> dict[str, int]:
    """Videos done, by stage."""
    with ledger.transaction() as cursor:
        return {stage: states["done"] for stage, states in status.stages(cursor, project_id).items()}


def test_a_project_half_way_is_counted_in_videos(database: Ledger) -> None:
    project_id = register(database, WORLD, skip_keywords=["cgi"])
    miner = Miner(database, WORLD)
    miner.run(["expand"])
    for _ in range(3):
        miner.step(["download"])
    miner.run(["extract"])
    held = miner.claim(["filter"])
    assert held is not None
    with database.transaction() as cursor:
        stages, videos, left = (ask(cursor, project_id) for ask in (status.stages, status.videos, status.progress))
    assert stages["download"] == {"waiting": 3, "running": 0, "done": 3, "dead": 0, "blocked": 0}
    assert stages["extract"] == {"waiting": 0, "running": 0, "done": 3, "dead": 0, "blocked": 0}
    assert stages["filter"] == {"waiting": 2, "running": 1, "done": 0, "dead": 0, "blocked": 0}
    assert {state for stage in ("dedup", "detect") for state in stages[stage].values()} == {0}
    expected = {"found": 7, "skipped": 1, "waiting": 6, "blocked": 0, "downloaded": 3, "mined": 0, "dead": 0}
    assert videos == expected
    assert (left.outstanding, left.blocked, left.dead, left.open_sources) == (3 + 9, 0, 0, 0)
    assert not left.is_settled
    miner.finish(held)
    miner.run()
    assert done(database, project_id) == dict.fromkeys(status.STAGES, 6)
    with database.transaction() as cursor:
        assert status.videos(cursor, project_id)["mined"] == 6
        assert status.progress(cursor, project_id).is_settled


def test_a_video_whose_turn_has_not_come_waits_for_dedup(database: Ledger) -> None:
    project_id = register(database, WORLD)
    miner = Miner(database, WORLD)
    miner.run(["expand"])
    jobs = [miner.claim(["download"]) for _ in range(2)]
    assert jobs[0] and jobs[1]
    miner.finish(jobs[1])
    miner.run(["filter", "extract"])
    with database.transaction() as cursor:
        stages, videos = status.stages(cursor, project_id), status.videos(cursor, project_id)
    assert (stages["filter"]["done"], stages["dedup"]["waiting"], stages["dedup"]["done"]) == (1, 1, 0)
    assert videos["mined"] == 0


def test_dead_and_blocked_videos_are_told_apart_with_their_reasons(database: Ledger) -> None:
    def broken(job: Job) -> None:
        if job.video_id == "tube:b":
            raise NeverError("unreadable", "no")

    def refused(job: Job) -> None:
        if job.video_id == "tube:e":
            raise SiteError("bot_check", "are you human?")

    project_id = register(database, WORLD)
    miner = Miner(database, WORLD, {"extract": broken, "download": refused})
    miner.run(["expand"])
    skipped = miner.claim(["download"])
    assert skipped is not None
    miner.skip(skipped, "members_only")
    miner.run()
    with database.transaction() as cursor:
        assert status.videos(cursor, project_id) == {
            "found": 7,
            "skipped": 1,
            "waiting": 0,
            "blocked": 2,
            "downloaded": 4,
            "mined": 3,
            "dead": 1,
        }
        assert status.skipped(cursor, project_id) == {"members_only": 1}
        assert status.failures(cursor, project_id) == {"extract": {"unreadable": 3}}
        waits = status.waits_for(cursor, project_id)
        assert [(row.name, row.state, row.reason, row.jobs) for row in waits] == [("tube", "shut", "bot_check", 2)]
        left = status.progress(cursor, project_id)
        assert (left.is_settled, left.blocked, left.dead) == (True, 2, 3)
        assert [site.name for site in status.sites(cursor, project_id)] == ["tube"]
        stages = status.stages(cursor, project_id)
    assert stages["download"] == {"waiting": 0, "running": 0, "done": 4, "dead": 0, "blocked": 2}
    assert stages["extract"] == {"waiting": 0, "running": 0, "done": 3, "dead": 1, "blocked": 0}


def test_the_funnel_the_drops_and_the_boxes_add_up(database: Ledger) -> None:
    project_id, own = register(database, WORLD), plan()
    Miner(database, WORLD).run()
    videos = [row.video_id for row in rows(database, "SELECT video_id FROM project_video")]
    everything = [
        (v, frame)
        for v in videos
        for n in range(3)
        for frame in WORLD.frames(v, n * 10000, min(n * 10000 + 10000, 25000))
    ]
    good = [(v, frame) for v, frame in everything if frame.sharpness >= 40]
    passed = [(v, frame) for v, frame in good if passes(WORLD, v, frame, own)]
    unique = brute_force(database, WORLD, project_id, own)
    boxes = {place: [box for box in WORLD.boxes(*place, own["detect"]["key"]) if box.score >= 0.3] for place in unique}
    with database.transaction() as cursor:
        funnel, drops = status.frames(cursor, project_id), status.drops(cursor, project_id)
        by_class = status.boxes_by_class(cursor, project_id)
    assert funnel == {
        "extracted": len(everything),
        "good": len(good),
        "passed": len(passed),
        "unique": len(unique),
        "with_boxes": sum(map(bool, boxes.values())),
    }
    assert drops["filter"] == {"too_blurry": len(everything) - len(good), "no_match": len(good) - len(passed)}
    assert drops["dedup"] == {"duplicate": len(passed) - len(unique)}
    assert drops["detect"] == {"no_detection": sum(not found for found in boxes.values())}
    assert by_class == {"door": sum(map(len, boxes.values()))}
    assert unique == kept(database, project_id)


def test_what_another_pipeline_left_keeps_no_run_waiting(database: Ledger) -> None:
    project_id = register(database, WORLD)
    Miner(database, WORLD).run(["expand", "download", "extract"])
    with database.transaction() as cursor:
        assert status.progress(cursor, project_id).outstanding == 21, "segments wait for the filter"
    register(database, WORLD, stages=["expand", "download", "extract"])  # ingest, or a scorer that is not here
    with database.transaction() as cursor:
        assert status.progress(cursor, project_id).is_settled
    register(database, WORLD)
    with database.transaction() as cursor:
        assert status.progress(cursor, project_id).outstanding == 21


def test_annotating_alone_does_not_wait_for_sources_that_nobody_asked(database: Ledger) -> None:
    project_id = register(database, WORLD, stages=["filter", "dedup", "detect"])
    with database.transaction() as cursor:
        assert status.progress(cursor, project_id).is_settled


def test_a_project_is_settled_only_when_it_lacks_no_job(database: Ledger) -> None:
    project_id = register(database, WORLD)
    miner = Miner(database, WORLD)
    settled = []
    while True:
        with database.transaction() as cursor:
            left = status.progress(cursor, project_id)
            lacks = successors.derive(cursor, project_id)
        settled.append(left.is_settled)
        assert lacks == 0, "a finish left something underived"
        if miner.step() is None:
            break
    assert settled[-1] and not any(settled[:-1])


def test_shared_work_counts_for_each_project_that_has_the_video(database: Ledger) -> None:
    first, second = register(database, WORLD, "first"), register(database, World({"x": ["c"]}, site="tube"), "second")
    miner = Miner(database, WORLD)
    miner.world = World({**WORLD.listings, "x": ["c"]}, site="tube")
    miner.run()
    assert done(database, first)["download"] == 7 and done(database, second)["download"] == 1
    assert len(rows(database, "SELECT FROM job WHERE stage = 'download'")) == 7


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_deleted_project_leaves_the_shared_rows_and_no_work(database: Ledger, is_shared: bool) -> None:
    project_id = register(database, WORLD)
    other = register(database, WORLD, "other") if is_shared else None
    miner = Miner(database, WORLD)
    miner.run(["expand"])
    for _ in range(8):
        miner.step(["extract", "download"])
    shared = """SELECT (SELECT count(*) FROM video) AS videos, (SELECT count(*) FROM frame) AS frames"""
    before = rows(database, shared)[0]
    assert before.videos and before.frames
    database.with_retry(lambda cursor: projects.delete(cursor, project_id))
    assert rows(database, shared)[0] == before
    assert not rows(database, "SELECT FROM job WHERE project_id = %s", project_id)
    left = {row.state for row in rows(database, "SELECT state FROM job WHERE project_id IS NULL")}
    if other is None:
        assert left == {"done", "superseded"} and miner.claim() is None
        again = register(database, WORLD)  # wanted again, it wakes
        miner.run()
        assert {row.state for row in rows(database, "SELECT state FROM job")} == {"done"}
        assert kept(database, again) == brute_force(database, WORLD, again, plan())
    else:
        assert "waiting" in left
        miner.run()
        assert kept(database, other) == brute_force(database, WORLD, other, plan())


def test_a_worker_whose_project_is_deleted_loses_its_lease(database: Ledger) -> None:
    project_id = register(database, WORLD)
    miner = Miner(database, WORLD)
    miner.run(["expand", "download", "extract"])
    job = miner.claim(["filter"])
    assert job is not None
    database.with_retry(lambda cursor: projects.delete(cursor, project_id))
    with pytest.raises(LeaseLostError):
        miner.finish(job)
