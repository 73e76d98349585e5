"""Several detectors, real ones of random weights, and several words for one class: what is stored, and what is left."""

from pathlib import Path
from typing import Any

import pytest

from data_miner.ledger.connection import Ledger
from data_miner.models.voting import iou_matrix
from data_miner.records import Box
from tests.support import mined, tiny_models

_BOXES = "SELECT segment_id, pts_ms, prompt, score, x1, y1, x2, y2, agreement, model FROM detection WHERE detector = %s"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: tiny_models.write(kind, folder / kind) for kind in ("owlv2", "owlvit")}


def _plan(ledger: Ledger) -> Any:
    with ledger.transaction() as cursor:
        row = cursor.execute("SELECT plan FROM project").fetchone()
    assert row is not None
    return row.plan["detect"]


def _boxes(ledger: Ledger, key: str) -> list[Any]:
    with ledger.transaction() as cursor:
        return cursor.execute(_BOXES, [key]).fetchall()


def _jobs(ledger: Ledger) -> int:
    with ledger.transaction() as cursor:
        row = cursor.execute("SELECT sum(attempt) AS n FROM job WHERE stage = 'detect'").fetchone()
    return int(row.n) if row is not None else 0


def test_each_voter_keeps_its_boxes_and_the_vote_says_who_agreed(patterns: Ledger, models: dict[str, Path]) -> None:
    place = mined.Place(Path.cwd())
    both = ("detect.model=null", f"detect.models=[{models['owlv2']}, {models['owlvit']}]")
    words = "classes=[{thing: [door, glass door]}, {handle: [push bar]}]"
    mined.mine(patterns, place, *both, words, "detect.max_det=5")
    plan = _plan(patterns)
    voted = _boxes(patterns, plan["key"])
    for member in plan["runtime"]["members"]:
        raw = _boxes(patterns, member["key"])
        assert raw and {box.prompt for box in raw} <= {"door", "glass door", "push bar"}
        assert all(box.agreement == 1 and box.model is None for box in raw)
    assert {box.model for box in voted} <= {"owlv2", "owlvit"}
    assert {box.agreement for box in voted} <= {1, 2}
    for one in voted:
        rivals = [box for box in voted if (box.segment_id, box.pts_ms) == (one.segment_id, one.pts_ms)]
        overlaps = iou_matrix([Box("", box.score, (box.x1, box.y1, box.x2, box.y2)) for box in rivals])
        same = [[_class(a.prompt) == _class(b.prompt) for b in rivals] for a in rivals]
        for a in range(len(rivals)):
            assert all(overlaps[a, b] < (0.7 if same[a][b] else 0.5) for b in range(len(rivals)) if a != b)


def test_another_class_for_a_word_asks_no_detector_again(patterns: Ledger, models: dict[str, Path]) -> None:
    place = mined.Place(Path.cwd())
    one = f"detect.model={models['owlvit']}"
    mined.mine(patterns, place, one, "classes=[{thing: [door, glass door]}]")
    member, first = _plan(patterns)["runtime"]["members"][0]["key"], _plan(patterns)["key"]
    raw = _boxes(patterns, member)
    with patterns.transaction() as cursor:  # a second look would find these again
        cursor.execute("UPDATE detection SET score = score * 0.999 WHERE detector = %s", [member])
    touched = _boxes(patterns, member)
    mined.mine(patterns, place, one, "classes=[{thing: [door]}, {glass: [glass door]}, ]")
    assert _plan(patterns)["key"] == member  # each word its own class: nothing to merge
    mined.mine(patterns, place, one, "classes=[{other: [glass door, door]}]")
    assert _plan(patterns)["key"] not in (first, member)
    assert _boxes(patterns, member) == touched != raw
    assert {box.prompt for box in _boxes(patterns, _plan(patterns)["key"])} <= {"door", "glass door"}


def _class(prompt: str) -> str:
    return "handle" if prompt == "push bar" else "thing"
