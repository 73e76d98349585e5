"""try, typed on drawn pictures and a film, with the sample's two tiny models and no data folder."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from data_miner.cli.main import run
from data_miner.sample.measure import overlap
from data_miner.sample.pictures import pictures
from tests.support.videos import write_video

PROJECT = str(Path(__file__).parents[2] / "configs" / "projects" / "glass_door_sample.yaml")
SEED = 7_000_000  # seen by neither model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that names nothing."""
    for name in ("DATABASE_URL", "DATA_MINER_STORE", "DATA_MINER_PROJECT", "DATA_MINER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drawn_door() -> tuple[NDArray[np.uint8], tuple[float, ...]]:
    """A BGR picture of one glass door and where it is."""
    shown = (one for one in pictures(SEED, 40, {"glass_door": 1.0}) if one.subject == "glass_door")
    one = next(one for one in shown if len(one.seen.boxes["glass_door"]) == 1)
    return one.bgr, tuple(one.seen.boxes["glass_door"][0])


def tried(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    """Type `try --json`; returns what it found."""
    capsys.readouterr()
    assert run(["try", "-p", PROJECT, "--device", "cpu", "--json", *arguments]) == code, capsys.readouterr().err
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_pictures_get_scores_verdicts_and_boxes_without_a_trace(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    door, truth = drawn_door()
    cv2.imwrite("door.png", door)
    cv2.imwrite("large.png", cv2.resize(door, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))
    cv2.imwrite("flat.png", np.full((360, 480, 3), 128, np.uint8))
    seen, large, flat = tried(capsys, "door.png", "large.png", "flat.png", "--set", "filter.min_sharpness=0")
    assert seen["verdict"] == "match" and seen["positive"] > 0.3 > seen["negative"]
    assert seen["positive_prompt"] in ("a glass door in a building", "a sliding glass door")
    assert overlap(seen["boxes"][0]["xyxy"], truth) > 0.5
    # 1,920 px are scaled to max_side before anything looks; boxes come in the file's own pixels.
    assert (large["width"], large["height"]) == (1280, 960)
    assert overlap([value / 4 for value in large["boxes"][0]["xyxy"]], truth) > 0.5
    assert (flat["verdict"], flat["failed_by"], flat["distance"]) == ("flat", "min_contrast", 5.0)
    assert sorted(path.name for path in here.iterdir()) == ["door.png", "flat.png", "large.png"]


def test_a_film_is_sampled_as_the_project_would_and_bad_files_stop_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = drawn_door()[0][:, :, ::-1]
    wall = np.full_like(door, 128)
    shown = [*[door] * 25, *[wall] * 26]
    write_video(Path("film.mp4"), [100 * k for k in range(51)], size=(480, 360), pictures=shown)
    Path("page.jpg").write_text("<html></html>")
    Path("folder").mkdir()
    arguments = ("film.mp4", "absent.jpg", "page.jpg", "folder", "--set", "filter.min_sharpness=0")
    assert run(["try", "-p", PROJECT, "--device", "cpu", *arguments]) == 1
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].split() == ["file", "positive", "negative", "junk", "verdict", "failed", "by", "boxes"]
    assert [line.split()[:2] for line in lines[1:]] == [["film.mp4", f"0:0{second}"] for second in range(6)]
    assert "match" in lines[1] and "glass_door 0." in lines[1] and "flat" in lines[6]
    assert sorted(told.err.splitlines()) == [
        "data-miner: absent.jpg: no such file",
        "data-miner: folder: a folder; name its files: folder/*.jpg",
        "data-miner: page.jpg: neither a picture nor a video of a known format",
    ]
    assert [one["pts_ms"] for one in tried(capsys, "film.mp4", "--limit", "2")] == [0, 3000]
    fast = ("film.mp4", "--limit", "2", "--set", "extract.fps=10")  # of 51 pictures: now it seeks
    assert [one["pts_ms"] for one in tried(capsys, *fast)] == [0, 2600]


def test_a_missing_model_or_project_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite("a.png", np.zeros((8, 8, 3), np.uint8))
    assert run(["try", "-p", PROJECT, "--device", "cpu", "--set", "detect.model=nowhere.pt", "a.png"]) == 1
    assert capsys.readouterr().err.startswith("data-miner: nowhere.pt: no such model")
    assert run(["try", "-p", "nothing", "a.png"]) == 2 and run(["try", "a.png"]) == 2
    assert run(["try", "-p", PROJECT]) == 2
