"""Models that are not on this machine yet: what needs none goes on, and one line says what is waited for."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mining import Home
from tests.support.postgres import reachable_folder
from tests.support.shared import shared
from tests.support.videos import write_video

ROOT = Path(__file__).parents[2]
PROJECT = """
classes: [bottle]
filter: {{min_side: 100, min_sharpness: 0, min_contrast: 0, model: {scorer}, positive: [a bottle]}}
detect: {{model: {detector}}}
"""


@pytest.fixture(scope="module")
def away() -> Iterator[Home]:
    """A second folder, for the project whose videos are on the network."""
    root = reachable_folder()
    found = Home(root / "data", root)
    yield found
    found.close()
    shutil.rmtree(root)


def test_glass_door_is_the_file_its_user_wrote() -> None:
    assert (ROOT / "configs/projects/glass_door.yaml").read_bytes() == shared("glass_door.yaml").read_bytes()


def test_without_network_glass_door_ends_within_a_minute_and_names_the_site(away: Home) -> None:
    started = time.monotonic()
    done = away.type("run", "--project", "glass_door", "--no-wait")
    took_s = time.monotonic() - started
    print(f"glass_door without network: {took_s:.0f} s")
    assert done.returncode == 6, done.stderr
    assert took_s < 60
    named = [line for line in done.stderr.splitlines() if "youtube" in line]
    assert len(named) == 1 and "data-miner doctor" in named[0] and "network" in named[0]
    assert "Traceback" not in done.stderr
    found = away.status("glass_door")
    assert found["state"] == "blocked" and found["sites"]["youtube"]["reason"] == "network"
    assert found["failures"] == {}


def test_what_needs_no_model_goes_on_and_the_rest_when_it_is_not_wanted_any_more(home: Home) -> None:
    project = home.cwd / "bottles.yaml"
    project.write_text(PROJECT.format(scorer="org/not-here", detector=shared("models/yolo11n_int8_openvino_model")))
    (home.cwd / "film").mkdir()
    write_video(home.cwd / "film" / "short.mp4", range(0, 3000, 100))

    first = home.type("run", "bottles.yaml", "--source", "film")

    assert first.returncode == 1, first.stderr
    last = first.stderr.splitlines()[-1]
    assert last.startswith("data-miner: org/not-here (filter.model) is not on this machine")
    assert str(home.data / "models") in last
    found = home.status("bottles")
    assert found["state"] == "blocked" and found["frames"]["extracted"] == 3
    assert found["stages"]["filter"]["waiting"] == 0
    assert found["dataset"] is None

    again = home.type("run", "bottles.yaml")
    assert (again.returncode, again.stderr.splitlines()[-1]) == (1, last)

    second = home.type("run", "bottles.yaml", "--set", "filter.model=null")
    assert second.returncode == 0, second.stderr
    found = home.status("bottles")
    assert found["state"] == "finished" and found["stages"]["detect"]["done"] == 1
    assert found["frames"]["extracted"] == 3 and found["frames"]["passed"] == 3


@pytest.mark.parametrize("name", ["weights/best.pt", "best.pt", "not_a_model"])
def test_a_path_that_is_not_there_is_one_line_at_once(home: Home, name: str) -> None:
    done = home.type("run", "bottles.yaml", "--set", f"detect.model={name}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr and "no such model" in done.stderr
