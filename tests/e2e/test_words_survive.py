"""Promise 3 with the whole command line: what a person rejected and corrected stays so through thresholds and kills."""

import csv
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.support.mining import Home
from tests.support.shared import shared

PROJECT = """
classes: [bottle, person]
filter: {{min_side: 100, min_sharpness: 5, min_contrast: 3}}
dedup: {{hash_distance: 2}}
detect: {{model: {model}, imgsz: 640, conf: 0.4}}
"""
CORRECTED = "1 0.500000 0.500000 0.250000 0.125000\n"


def _images(home: Home) -> dict[str, dict[str, str]]:
    """The newest version's manifest by image."""
    with (home.data / "datasets" / "bottles" / "latest" / "manifest.csv").open() as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def _label(home: Home, image: str) -> str:
    (found,) = (home.data / "datasets" / "bottles" / "latest" / "labels").rglob(f"{image[:-4]}.txt")
    return found.read_text()


@pytest.fixture(scope="module")
def spoken(home: Home) -> tuple[str, str, str]:
    """A mined project, in which one image was rejected, one corrected in an edited copy, and one emptied there."""
    (home.cwd / "bottles.yaml").write_text(PROJECT.format(model=shared("models/yolo11n_int8_openvino_model")))
    film = str(shared("videos/bottle-detection.mp4"))
    first = home.type("run", "bottles.yaml", "--source", film)
    assert first.returncode == 0, first.stderr
    rejected, corrected, emptied = sorted(_images(home))[3:6]
    copy = home.cwd / "copy"
    shutil.copytree((home.data / "datasets" / "bottles" / "latest").resolve(), copy)
    for image, text in ((corrected, CORRECTED), (emptied, "")):
        (label,) = (copy / "labels").rglob(f"{image[:-4]}.txt")
        label.unlink()  # the copy shares no file with the version
        label.write_text(text)
    archive = shutil.make_archive(str(home.cwd / "from_cvat"), "zip", copy)
    said = home.type("reject", "-p", "bottles", rejected)
    assert said.returncode == 0 and "1 image" in said.stdout + said.stderr, said.stderr
    said = home.type("labels", "import", "-p", "bottles", archive)
    assert said.returncode == 0 and "2 corrected" in said.stdout + said.stderr, said.stdout + said.stderr
    return rejected, corrected, emptied


def _holds(home: Home, spoken: tuple[str, str, str]) -> None:
    rejected, corrected, emptied = spoken
    images = _images(home)
    assert rejected not in images
    assert {name for name, row in images.items() if row["labelled_by"] == "human"} == {corrected, emptied}
    assert (_label(home, corrected), _label(home, emptied)) == (CORRECTED, "")
    assert len(images) > 3


def test_a_persons_word_holds_in_the_next_version(home: Home, spoken: tuple[str, str, str]) -> None:
    done = home.type("run", "-p", "bottles.yaml")
    assert done.returncode == 0, done.stderr
    _holds(home, spoken)
    shown = home.type("show", spoken[1])
    assert shown.returncode == 0 and "by a person" in shown.stdout


def test_it_holds_through_other_thresholds_and_kills(home: Home, spoken: tuple[str, str, str]) -> None:
    changed = (
        "run",
        "bottles.yaml",
        "--set",
        "dedup.hash_distance=8",
        "--set",
        "detect.conf=0.6",
        "--set",
        "extract.fps=2",
    )
    for after_s in (6.0, 9.0):
        run = home.start(*changed)
        time.sleep(after_s)
        run.send_signal(signal.SIGKILL)
        run.wait()
    done = home.type(*changed)
    assert done.returncode == 0, done.stderr
    _holds(home, spoken)
    again = home.type(*changed)
    assert again.returncode == 0 and "nothing was left to do" in again.stdout
    versions = {path.name for path in Path(home.data / "datasets" / "bottles").glob("v*")}
    assert "v2" in versions
