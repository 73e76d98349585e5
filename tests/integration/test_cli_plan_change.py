"""`plan --set`: what it foretells of a threshold is what a run then finds, and looking changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from data_miner.cli.main import run
from data_miner.ledger import status
from data_miner.ledger.connection import Ledger
from tests.support import mined, tiny_models


def _foretold(capsys: pytest.CaptureFixture[str], file: Path, *overrides: str) -> dict[str, Any]:
    arguments = [word for override in overrides for word in ("--set", override)]
    assert run(["plan", "-p", str(file), *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _funnel(ledger: Ledger, project_id: int) -> dict[str, int]:
    with ledger.transaction() as cursor:
        return dict(status.frames(cursor, project_id))


@pytest.mark.parametrize(
    "overrides",
    [
        ("dedup.hash_distance=0",),
        ("dedup.hash_distance=30",),
        ("detect.conf=0.8",),
        ("filter.brightness=[0, 130]",),
        ("filter.min_sharpness=100000",),
    ],
)
def test_what_plan_foretells_is_what_a_run_finds(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...]
) -> None:
    place = mined.Place(Path.cwd())
    project_id = mined.mine(patterns, place)
    before = _funnel(patterns, project_id)
    found = _foretold(capsys, place.file, *overrides)
    assert _funnel(patterns, project_id) == before  # looking changed nothing
    assert found["change"]["is_exact"]
    mined.mine(patterns, place, *overrides)
    after, steps = _funnel(patterns, project_id), found["change"]["steps"]
    for name, key in (("good", "good"), ("match", "passed"), ("unique", "unique")):
        assert (steps[name]["now"], steps[name]["then"]) == (before[key], after[key])
        assert steps[name]["then"] - steps[name]["now"] == steps[name]["enter"] - steps[name]["leave"]
    assert after["with_boxes"] >= steps["boxed"]["then"]  # frames that are new have no boxes yet
    if before != after:
        page = Path(found["sheet"])
        assert page.is_file() and page.read_text().count("<figure") == _changed(steps)


def _changed(steps: dict[str, Any]) -> int:
    """Frames that change at all: each once, at the first stage where it does."""
    most = max(steps.values(), key=lambda step: step["enter"] + step["leave"])
    return int(most["enter"] + most["leave"])


def test_a_new_frame_without_a_vector_makes_the_answer_a_guess(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = mined.Place(Path.cwd())
    dino = f"dedup.model={tiny_models.write('dinov2', tmp_path / 'dino')}"
    mined.mine(patterns, place, dino, "filter.brightness=[0, 127]")
    found = _foretold(capsys, place.file, dino, "filter.brightness=[0, 255]")
    assert found["change"]["steps"]["match"]["enter"] > 0
    assert not found["change"]["is_exact"]
    embed = next(work for work in found["work"] if work["stage"] == "embed")
    assert embed["items"]["value"] == found["change"]["steps"]["match"]["enter"]


def _work(found: dict[str, Any], stage: str) -> float:
    return sum(float(work["items"]["value"]) for work in found["work"] if work["stage"] == stage)


def test_what_another_detector_will_find_is_not_foretold(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    place = mined.Place(Path.cwd())
    unique = _funnel(patterns, mined.mine(patterns, place))["unique"]
    found = _foretold(capsys, place.file, "detect.imgsz=320")
    assert set(found["change"]["steps"]) == {"good", "match", "unique"} and found["sheet"] is None
    assert _work(found, "detect") == unique > 0


def test_only_good_pictures_are_to_be_scored(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    place = mined.Place(Path.cwd())
    good = _funnel(patterns, mined.mine(patterns, place))["good"]
    scorer = ("filter.model=glass_door_siglip", "filter.positive=[a door]")
    assert _work(_foretold(capsys, place.file, *scorer), "filter") == good > 0
    assert _work(_foretold(capsys, place.file, *scorer, "filter.min_sharpness=100000"), "filter") == 0
