"""What stops a run at once or before it harms: weights that are no weights, a database that does not answer."""

import pickle
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest

from data_miner.sample.weights import DETECTOR
from tests.support.mining import Home
from tests.support.videos import write_video

PROJECT = """
classes: [glass_door]
sources: {{folder: film}}
filter: {{min_side: 0, min_sharpness: 0, min_contrast: 0, brightness: [0, 255]}}
detect: {{model: {model}}}
"""


class Evil:
    """Runs code in whoever unpickles it."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self._mark,)


@pytest.fixture(scope="module")
def mark(home: Home) -> Path:
    """One film, two bad detectors; returns the file that the evil one makes when its code runs."""
    mark, weights = home.cwd / "code ran", home.cwd / "weights"
    weights.mkdir()
    (home.cwd / "film").mkdir()
    write_video(home.cwd / "film" / "short.mp4", range(0, 1000, 100))
    (weights / "corrupt.pt").write_bytes(DETECTOR.read_bytes()[:100_000])
    evil = pickle.dumps({"model": Evil(mark)}, protocol=2)
    with zipfile.ZipFile(weights / "evil.pt", "w") as archive:  # the form that torch.save writes
        archive.writestr("evil/data.pkl", evil)
        archive.writestr("evil/version", "3\n")
        archive.writestr("evil/byteorder", "little")
    pickle.loads(evil)
    assert mark.exists(), "the pickle does nothing: it proves nothing"
    mark.unlink()
    return mark


@pytest.mark.parametrize("name", ["corrupt.pt", "evil.pt"])
def test_weights_that_are_none_end_the_run_with_their_name_and_run_no_code(home: Home, mark: Path, name: str) -> None:
    path = home.cwd / "weights" / name
    (home.cwd / "doors.yaml").write_text(PROJECT.format(model=path))
    done = home.type("run", "doors.yaml")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert str(path) in done.stderr.splitlines()[-1]
    assert not mark.exists()
    found = home.status("doors")
    assert found["stages"]["detect"]["dead"] == 0, "the weights are to blame, not the video"
    assert found["stages"]["detect"]["waiting"] == 1


def test_with_whole_weights_the_same_project_goes_on(home: Home, mark: Path) -> None:
    (home.cwd / "doors.yaml").write_text(PROJECT.format(model=DETECTOR))
    done = home.type("run", "doors.yaml")
    assert done.returncode == 0, done.stderr
    assert home.status("doors")["state"] == "finished"


def test_weights_that_are_not_there_are_named_before_anything_starts(home: Home, mark: Path) -> None:
    (home.cwd / "gone.yaml").write_text(PROJECT.format(model=home.cwd / "weights" / "gone.pt"))
    done = home.type("run", "gone.yaml")
    assert done.returncode in (1, 2)
    (line,) = done.stderr.splitlines()
    assert "gone.pt" in line


def test_a_database_that_does_not_answer_is_exit_4_with_a_hint(home: Home, mark: Path) -> None:
    with socket.socket() as free:  # bound and not listening: nobody answers there
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://kim:secret@127.0.0.1:{free.getsockname()[1]}/miner"
        away = Home(home.cwd / "other", home.cwd, {"DATABASE_URL": url})
        done = away.type("run", "doors.yaml")
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.splitlines()
    assert "127.0.0.1" in line and "DATABASE_URL" in line
    assert "secret" not in line
    assert not (away.data / "postgres").exists()
