"""A person's word that takes effect late, or not any more: what is kept follows from words and order, not from when."""

import random
from pathlib import Path
from typing import Any

import pytest

from data_miner.config.sites import UNPACED, Sites
from data_miner.ledger import admission, forecast, projects
from data_miner.ledger.connection import Ledger
from data_miner.records import key_of
from data_miner.store.artifacts import Store
from tests.support.ledger import Miner, plan, rows
from tests.support.likeness import (
    STAGES,
    Gallery,
    LikenessMiner,
    dies,
    label,
    mined_by,
    reject,
    revive,
    shown,
)

WORLD = Gallery({"one": list("abc")}, titles={"c": "cgi c"}, twins={"c": "a"})


def test_what_a_labelled_picture_pushed_out_comes_back_when_its_video_is_dropped(database: Ledger) -> None:
    project_id = mined_by(database, WORLD, model=None)
    Miner(database, WORLD).run()
    assert shown(database, project_id) == "ab"
    label(database, project_id, "c")
    Miner(database, WORLD).run()
    assert shown(database, project_id) == "bc"
    mined_by(database, WORLD, model=None, skip_keywords=["cgi"])
    Miner(database, WORLD).run()
    assert shown(database, project_id) == "ab"


def test_of_two_labelled_likes_one_stays_while_the_other_is_held_and_after(database: Ledger) -> None:
    project_id = mined_by(database, WORLD, model=None)
    Miner(database, WORLD).run()
    label(database, project_id, "a", "c")
    Miner(database, WORLD, {"dedup": dies("a")}).run()
    assert shown(database, project_id) == "bc"
    assert revive(database, project_id)
    Miner(database, WORLD).run()
    assert shown(database, project_id) == "bc"  # a has gone to the end of the order


def test_a_rule_that_changes_while_dedup_reads_admits_nothing_by_the_old_one(
    database: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id = mined_by(database, WORLD, model=None)
    Miner(database, WORLD).run(["expand", "download", "extract", "filter"])
    miner = Miner(database, WORLD)
    job, read = miner.claim(["dedup"]), admission.standing
    assert job is not None

    def after_a_change(*asked: Any) -> admission.Standing:
        monkeypatch.setattr(admission, "standing", read)
        own = plan(is_scored=False, hash_distance=9)
        wanted = projects.Registration("p", {}, key_of(plan=own), own, WORLD.sources())
        database.with_retry(lambda cursor: projects.register(cursor, wanted, WORLD.paces), deadline_s=20)
        return read(*asked)

    monkeypatch.setattr(admission, "standing", after_a_change)
    assert miner.finish(job) == "early"
    assert shown(database, project_id) == ""


def test_a_forecast_counts_the_frames_of_videos_that_a_policy_would_drop(database: Ledger) -> None:
    mined_by(database, WORLD, model=None)
    Miner(database, WORLD).run()
    own = plan(is_scored=False, skip_keywords=["cgi"])
    own["dedup"]["key"] = key_of(**own["dedup"]["params"])
    wanted = projects.Registration("p", {"classes": ["door"]}, "another", own, WORLD.sources())
    told = forecast.forecast(database, wanted, Sites(UNPACED), 1.0, None, suppose=lambda cursor, project_id: True)
    assert told.change is not None
    match = told.change.steps["match"]
    assert (match.now, match.then, match.leave) == (3, 2, 1)
    assert [row.becomes for row in told.change.frames if row.was == 2] == [0]


CROWD = Gallery(
    {"one": list("abcde"), "two": list("fghi")},
    titles={native: f"is {native}" for native in "abcdefghi"},
    angles={"a": 0, "b": 5, "c": 13, "d": 60, "e": 64, "f": 120, "g": 8, "h": 68, "i": 125},
    twins={"b": "a", "g": "a", "e": "d", "h": "d", "i": "f"},
)
_ORDERED = """
    SELECT ps.video_id, pf.reason, fr.phash, ps.is_held, EXISTS (SELECT FROM human_label h
        WHERE h.project_id = ps.project_id AND h.video_id = ps.video_id) AS is_human
    FROM project p JOIN project_segment ps ON ps.project_id = p.id
    JOIN project_frame pf ON pf.project_id = p.id AND pf.segment_id = ps.segment_id
    JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
    ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id"""
_REJECTED = """
    SELECT r.video_id, r.phash, EXISTS (
        SELECT FROM project p JOIN project_segment ps ON ps.project_id = p.id JOIN embedding e USING (segment_id)
        WHERE p.id = r.project_id AND ps.video_id = r.video_id AND e.model = p.plan #>> '{embed,key}'
          AND r.pts_ms = ANY(e.pts_ms)) AS has_vector
    FROM rejection r"""


def compared_in_turn(ledger: Ledger, has_model: bool) -> str:
    """What should be kept: labelled pictures in data order, then the rest, each against all that is there."""

    def is_alike(one: Any, other: Any) -> bool:
        if has_model:
            angles = [CROWD.angles[row.video_id.partition(":")[2]] for row in (one, other)]
            return bool(abs(angles[0] - angles[1]) < 10)
        return bool((one.phash ^ other.phash).bit_count() <= 4)

    found = rows(ledger, _ORDERED)
    passed = [row for row in found if row.reason is None and not row.is_held]
    rejected = rows(ledger, _REJECTED)  # a hash is known though the picture is not there, a vector only where it is
    if has_model:
        rejected = [row for row in rejected if row.has_vector]
    stay: list[Any] = []
    for row in sorted(passed, key=lambda row: not row.is_human):
        against = stay if row.is_human else stay + rejected
        if not any(is_alike(row, other) for other in against):
            stay.append(row)
    return "".join(row.video_id.partition(":")[2] for row in passed if row in stay)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happened_before_what_is_kept_follows_from_words_and_order(
    database: Ledger, tmp_path: Path, seed: int
) -> None:
    chance, store = random.Random(seed), Store(str(tmp_path))
    model: str | None = "m1"
    project_id = mined_by(database, CROWD, model=model)
    for _ in range(10):
        native = chance.choice("abcdefghi")
        match chance.choice(["label", "reject", "take back", "revive", "model", "policy", "prompts"]):
            case "label":
                label(database, project_id, native)
            case "reject" | "take back" as verb:
                reject(database, project_id, native, is_undone=verb == "take back")
            case "revive":
                revive(database, project_id)
            case "model":
                model = chance.choice(["m1", "m2", None])
                mined_by(database, CROWD, model=model)
            case "policy":
                mined_by(database, CROWD, model=model, skip_keywords=[f"is {native}"])
            case "prompts":
                mined_by(database, CROWD, model=model, prompts=f"of {native}")
        stage, victims = chance.choice(["filter", "embed", "dedup", "none"]), chance.sample("abcdefghi", 2)
        miner = LikenessMiner(database, CROWD, store, {stage: dies(*victims)})
        miner.all_through([*chance.sample(STAGES[:5], 5), "dedup", "detect"])
        assert shown(database, project_id) == compared_in_turn(database, model is not None)
        assert not rows(database, "SELECT FROM project_segment WHERE NOT is_decided AND NOT is_held")
