"""Sites: one pace for everybody, and a circuit that shuts before any video is blamed."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from data_miner.config.sites import Pace, Sites
from data_miner.errors import JobError, LaterError, NotNowError, SiteError, SuspectError
from data_miner.ledger import jobs, sites, successors
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from tests.support.ledger import Miner, World, kept, register, rows, run_sql

VIDEOS = list("abcdefgh")
WORLD = World({"one": VIDEOS}, site="tube")
REFUSED = SuspectError("extractor_broken", "403 on media")


def site(ledger: Ledger) -> tuple[str, str | None]:
    """State and reason of the only site."""
    found = rows(ledger, "SELECT state, reason FROM site")[0]
    return found.state, found.reason


def downloads(ledger: Ledger, column: str = "state") -> dict[str, object]:
    """Something of the download jobs, by the video's letter."""
    query = f"SELECT video_id, {column} AS value FROM job WHERE stage = 'download'"
    return {row.video_id[-1]: row.value for row in rows(ledger, query)}


def refuse(*letters: str, error: JobError = REFUSED) -> Callable[[Job], None]:
    """The site refuses these videos."""

    def effect(job: Job) -> None:
        if str(job.video_id)[-1] in letters:
            raise error

    return effect


def wake(ledger: Ledger) -> None:
    """Let the time pass that sleeping jobs and the next trial wait for."""
    run_sql(ledger, "UPDATE job SET not_before = now() WHERE not_before IS NOT NULL")
    run_sql(ledger, "UPDATE site SET next_try = now() WHERE next_try IS NOT NULL")
    ledger.with_retry(lambda cursor: jobs.sweep(cursor))
    ledger.with_retry(sites.tick)


@pytest.fixture
def miner(database: Ledger) -> Miner:
    """A worker of a project whose eight downloads wait at one site."""
    register(database, WORLD)
    found = Miner(database, WORLD)
    found.run(["expand"])
    return found


def test_five_refusals_alike_shut_the_site_and_count_against_no_video(miner: Miner) -> None:
    miner.effects = {"download": refuse(*VIDEOS)}
    miner.run(["download"])
    assert site(miner.ledger) == ("shut", "extractor_broken")
    assert set(downloads(miner.ledger).values()) == {"blocked"}
    assert set(downloads(miner.ledger, "failures").values()) == {0}
    assert max(map(int, map(str, downloads(miner.ledger, "attempt").values()))) == 1
    with miner.ledger.transaction() as cursor:
        assert jobs.claim(cursor, "download", "", miner.id) is None
        assert jobs.backlog(cursor) == []  # what is blocked is in no claim index and asks for no worker
    assert {row.is_held for row in rows(miner.ledger, "SELECT is_held FROM project_video")} == {True}


def test_refusals_that_differ_or_are_interrupted_by_a_video_leave_it_open(miner: Miner) -> None:
    order = iter([REFUSED, LaterError("network"), REFUSED, LaterError("network"), REFUSED, None, REFUSED, REFUSED])

    def effect(job: Job) -> None:
        error = next(order)
        if error is not None:
            raise error

    miner.effects = {"download": effect}
    miner.run(["download"])
    assert site(miner.ledger) == ("open", None)
    assert sorted(map(str, downloads(miner.ledger).values())) == ["done"] + ["waiting"] * 7


@pytest.mark.parametrize("reason", ["rate_limited", "bot_check"])
def test_a_block_shuts_the_site_at_once_and_halves_its_pace(miner: Miner, reason: str) -> None:
    miner.effects = {"download": refuse("a", error=SiteError(reason, "go away"))}
    miner.run(["download"])
    assert site(miner.ledger) == ("shut", reason)
    assert set(downloads(miner.ledger).values()) == {"blocked"}
    assert rows(miner.ledger, "SELECT slowdown FROM site")[0].slowdown == 2


def test_one_trial_goes_and_its_success_releases_the_rest_at_the_end_of_the_order(miner: Miner) -> None:
    miner.effects = {"download": refuse(*VIDEOS[1:])}
    miner.run(["download"])
    assert site(miner.ledger)[0] == "shut"
    miner.effects = {}
    assert miner.run(["download"]) == 0  # its time has not come
    run_sql(miner.ledger, "UPDATE site SET next_try = now()")
    miner.ledger.with_retry(sites.tick)
    miner.ledger.with_retry(sites.tick)
    assert site(miner.ledger)[0] == "trial"
    assert sorted(map(str, downloads(miner.ledger).values())) == ["blocked"] * 6 + ["done", "waiting"]
    assert miner.step(["download"]) == "done"
    assert site(miner.ledger) == ("open", None)
    miner.run()
    assert set(downloads(miner.ledger).values()) == {"done"}
    moved = rows(miner.ledger, "SELECT video_id, moved FROM project_video ORDER BY moved, rank")
    assert [row.video_id[-1] for row in moved if row.moved == 0] == ["a"]
    assert not rows(miner.ledger, "SELECT FROM project_segment WHERE NOT is_decided")


def test_a_failed_trial_shuts_again_and_another_video_is_tried_next(miner: Miner) -> None:
    miner.effects = {"download": refuse(*VIDEOS)}
    miner.run(["download"])
    tried = []
    for _ in range(3):
        wake(miner.ledger)
        job = miner.claim(["download"])
        assert job is not None and miner.claim(["download"]) is None
        tried.append(job.video_id)
        assert miner.finish(job) == "blocked"
        assert site(miner.ledger) == ("shut", "extractor_broken")
    assert len(set(tried)) == 3
    assert set(downloads(miner.ledger, "failures").values()) == {0}


def test_work_under_way_when_the_site_shuts_neither_opens_it_nor_shuts_it_longer(miner: Miner) -> None:
    early, good, bad = (miner.claim(["download"]) for _ in range(3))
    assert early and good and bad
    assert miner.fail(early, SiteError("bot_check")) == "blocked"
    before = rows(miner.ledger, "SELECT state, next_try, since FROM site")[0]
    assert miner.finish(good) == "done"
    assert miner.fail(bad, REFUSED) == "blocked"
    assert rows(miner.ledger, "SELECT state, next_try, since FROM site")[0] == before


def test_a_job_given_back_while_its_site_is_shut_is_blocked_too(miner: Miner) -> None:
    ahead, refused = miner.claim(["download"]), miner.claim(["download"])
    assert ahead and refused
    miner.fail(refused, SiteError("bot_check"))
    with miner.ledger.transaction() as cursor:
        jobs.release(cursor, ahead)
        assert jobs.claim(cursor, "download", "", miner.id) is None
    miner.ledger.with_retry(sites.tick)
    assert set(downloads(miner.ledger).values()) == {"blocked"}


def test_what_was_called_gone_before_the_site_broke_is_asked_once_more(miner: Miner) -> None:
    for letter, reason in (("a", "gone"), ("b", "private"), ("c", "members_only"), ("d", "gone")):
        job = miner.claim(["download"])
        assert job is not None and str(job.video_id)[-1] == letter
        miner.skip(job, reason)
    run_sql(miner.ledger, "UPDATE video SET skipped_at = now() - interval '11 minutes' WHERE id = 'tube:d'")
    miner.effects = {"download": refuse("e", error=SiteError("rate_limited"))}
    miner.step(["download"])
    asked = {letter for letter, state in downloads(miner.ledger).items() if state == "blocked"}
    assert asked == {"a", "b", "e", "f", "g", "h"}
    miner.effects = {}
    wake(miner.ledger)
    miner.run()
    reasons = {row.video_id[-1]: row.reason for row in rows(miner.ledger, "SELECT video_id, reason FROM project_video")}
    assert {letter: reason for letter, reason in reasons.items() if reason} == {"c": "members_only", "d": "gone"}
    assert set(downloads(miner.ledger).values()) == {"done"}


def test_a_site_that_calls_everything_gone_between_refusals_is_still_found_broken(miner: Miner) -> None:
    for n in range(8):
        job = miner.claim(["download"])
        if job is None:
            break
        if n % 2:
            miner.skip(job, "gone")
        else:
            miner.fail(job, REFUSED)
            run_sql(miner.ledger, "UPDATE job SET not_before = NULL")
            continue
    while (job := miner.claim(["download"])) is not None:
        miner.fail(job, REFUSED)
    assert site(miner.ledger) == ("shut", "extractor_broken")


def test_a_single_bad_video_among_good_ones_dies_and_the_site_stays_open(database: Ledger) -> None:
    world = World({"one": [f"v{n}" for n in range(30)]}, site="tube")
    register(database, world)
    miner = Miner(database, world, {"download": lambda job: refuse("bad")(job)})

    def effect(job: Job) -> None:
        if job.video_id == "tube:v0":
            raise REFUSED

    miner.effects = {"download": effect}
    miner.run(["expand"])
    for _ in range(60):
        miner.step(["download"])
        run_sql(database, "UPDATE job SET not_before = now() WHERE not_before IS NOT NULL")
        for _ in range(3):
            miner.step(["download"])
        database.with_retry(lambda cursor: jobs.sweep(cursor))
    assert site(database) == ("open", None)
    bad = rows(database, "SELECT state, reason FROM job WHERE stage = 'download' AND video_id = 'tube:v0'")[0]
    assert tuple(bad) == ("dead", "extractor_broken")
    assert len(rows(database, "SELECT FROM job WHERE stage = 'download' AND state = 'done'")) == 29


def test_a_refused_video_lets_its_neighbours_be_asked_first(miner: Miner) -> None:
    run_sql(miner.ledger, "UPDATE site SET sleep_interval = 20, max_sleep_interval = 40, slowdown = 2")
    job = miner.claim(["download"])
    assert job is not None
    miner.fail(job, REFUSED)
    waits = rows(miner.ledger, "SELECT extract(epoch FROM not_before - now()) AS s FROM job WHERE id = %s", job.id)
    assert 400 < waits[0].s < 403


def test_nobody_answers_shuts_for_a_minute_only(miner: Miner) -> None:
    miner.effects = {"download": refuse(*VIDEOS, error=LaterError("network", "no route"))}
    miner.run(["download"])
    assert site(miner.ledger) == ("shut", "network")
    left = rows(miner.ledger, "SELECT extract(epoch FROM next_try - now()) AS s, slowdown FROM site")[0]
    assert 50 < left.s <= 60 and left.slowdown == 1


def test_where_nobody_answers_the_next_try_does_not_wait_for_the_pace(database: Ledger) -> None:
    world = World({"one": VIDEOS}, site="tube", paces=paced(sleep_interval=20.0, max_sleep_interval=40.0))
    register(database, world)
    miner = Miner(database, world)
    job = miner.claim(["expand"])
    assert job is not None
    miner.fail(job, LaterError("network", "no route"))
    wait_s = rows(database, "SELECT extract(epoch FROM not_before - now()) AS s FROM job WHERE stage = 'expand'")[0].s
    assert wait_s < 5


def test_a_second_project_finds_the_site_shut(miner: Miner) -> None:
    miner.effects = {"download": refuse("a", error=SiteError("bot_check"))}
    miner.run(["download"])
    register(miner.ledger, WORLD, "second", max_height=1080)
    expands = rows(miner.ledger, "SELECT state FROM job WHERE stage = 'expand' ORDER BY id")
    assert [row.state for row in expands] == ["done", "blocked"]
    assert rows(miner.ledger, "SELECT is_held FROM source ORDER BY id")[1].is_held
    miner.effects = {}
    wake(miner.ledger)
    miner.run()
    assert not rows(miner.ledger, "SELECT FROM job WHERE state <> 'done'")
    for name in ("p", "second"):
        project_id = rows(miner.ledger, "SELECT id FROM project WHERE name = %s", name)[0].id
        assert kept(miner.ledger, project_id)


# Tokens ------------------------------------------------------------------------------------------------------


def paced(**given: float | int) -> Sites:
    """Paces of a site."""
    return Sites(Pace(**given))  # type: ignore[arg-type]


def test_a_claim_takes_the_token_of_a_page(database: Ledger) -> None:
    world = World(
        {"one": VIDEOS}, site="tube", paces=paced(sleep_interval=0.0, max_sleep_interval=0.0, sleep_requests=60.0)
    )
    register(database, world)
    miner = Miner(database, world)
    assert miner.step(["expand"]) == "done"
    assert miner.claim(["download"]) is None
    run_sql(database, "UPDATE site SET next_request_at = now() - interval '1 ms'")
    assert miner.claim(["download"]) is not None
    assert miner.claim(["download"]) is None


def test_claimers_at_once_never_exceed_the_pace(database: Ledger) -> None:
    pace = paced(sleep_interval=0.0, max_sleep_interval=0.0, sleep_requests=0.05)
    world = World({"one": VIDEOS}, site="tube", paces=pace)
    register(database, world)
    miners = [Miner(database, world) for _ in range(4)]
    miners[0].run(["expand"])
    claimed: list[int] = []
    until = time.monotonic() + 10

    def claim(miner: Miner) -> None:
        while len(claimed) < len(VIDEOS) and time.monotonic() < until:
            job = miner.claim(["download"])
            claimed.extend([job.id] if job is not None else [])

    threads = [threading.Thread(target=claim, args=(miner,)) for miner in miners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(claimed)) == len(claimed) == len(VIDEOS)
    query = "SELECT extract(epoch FROM changed_at)::float AS s FROM job WHERE state = 'running' ORDER BY 1"
    starts = [row.s for row in rows(database, query)]
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.0499


def test_download_slots_are_reserved_one_behind_the_other(database: Ledger) -> None:
    world = World({"one": VIDEOS}, site="tube", paces=paced(sleep_interval=20.0, max_sleep_interval=40.0))
    register(database, world)
    waits = []
    for _ in range(4):
        with database.transaction() as cursor:
            waits.append(sites.take_download_token(cursor, "tube"))
    assert waits[0] == 0
    gaps = [later - earlier for earlier, later in itertools.pairwise(waits)]
    assert all(19 < gap < 41 for gap in gaps)
    Miner(database, world).run(["expand"])
    assert Miner(database, world).claim(["download"]) is None  # nobody starts before the slot is near


def test_a_day_has_so_many_downloads_and_the_site_rests_until_tomorrow(database: Ledger) -> None:
    world = World(
        {"one": VIDEOS},
        site="tube",
        paces=paced(sleep_interval=0.0, max_sleep_interval=0.0, sleep_requests=0.0, max_downloads=3),
    )
    register(database, world)
    miner = Miner(database, world)
    miner.run()
    assert sorted(map(str, downloads(database).values())) == ["done"] * 3 + ["waiting"] * 5
    with database.transaction() as cursor, pytest.raises(NotNowError):
        sites.take_download_token(cursor, "tube")
    database.with_retry(sites.tick)
    assert site(database) == ("shut", "max_downloads")
    assert sorted(map(str, downloads(database).values())) == ["blocked"] * 5 + ["done"] * 3
    until = rows(database, "SELECT next_try = current_date + 1 AS is_tomorrow, slowdown FROM site")[0]
    assert until.is_tomorrow and until.slowdown == 1
    run_sql(database, "UPDATE site SET next_try = now(), day = current_date - 1")
    database.with_retry(sites.tick)
    assert site(database) == ("open", None)
    miner.run()
    assert sorted(map(str, downloads(database).values())) == ["done"] * 6 + ["waiting"] * 2


def test_a_changed_pace_takes_effect_at_registration(database: Ledger) -> None:
    register(database, World({"one": VIDEOS}, site="tube", paces=paced(max_downloads=3)))
    register(database, World({"one": VIDEOS}, site="tube", paces=paced(max_downloads=7)))
    with database.transaction() as cursor:
        found = sites.overview(cursor)
    assert [(row.name, row.max_downloads, row.sleep_interval, row.state) for row in found] == [("tube", 7, 20, "open")]


def test_a_site_that_nobody_wants_any_more_opens_by_itself(miner: Miner) -> None:
    from data_miner.ledger import projects

    miner.effects = {"download": refuse("a", error=SiteError("bot_check"))}
    miner.run(["download"])
    project_id = rows(miner.ledger, "SELECT id FROM project")[0].id
    miner.ledger.with_retry(lambda cursor: projects.delete(cursor, project_id))
    assert set(downloads(miner.ledger).values()) == {"superseded"}
    wake(miner.ledger)
    assert site(miner.ledger) == ("open", None)
    second = register(miner.ledger, WORLD, "again")
    miner.effects = {}
    miner.run()
    assert set(downloads(miner.ledger).values()) == {"done"} and kept(miner.ledger, second)
    with miner.ledger.transaction() as cursor:
        assert successors.derive(cursor, second) == 0
