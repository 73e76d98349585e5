"""Disks that are full: `run` says so and waits, nothing half-written is read, and it goes on when there is room."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.mining import Home
from tests.support.postgres import reachable_folder
from tests.support.videos import write_video

PROJECT = """
sources: {folder: films}
extract: {fps: 10, segment_s: 2}
filter: {min_side: 0, min_sharpness: 0, min_contrast: 0, brightness: [0, 255]}
"""


@pytest.fixture
def home() -> Iterator[Home]:
    """A folder of its own with one film of noise, whose shards are large."""
    root = reachable_folder()
    found = Home(root / "data", root)
    (root / "films").mkdir()
    noise = [np.random.default_rng(i).integers(0, 255, (240, 320, 3), np.uint8) for i in range(40)]
    write_video(root / "films/noise.mp4", range(0, 4000, 100), size=(320, 240), pictures=noise)
    (root / "full.yaml").write_text(PROJECT)
    yield found
    found.close()
    shutil.rmtree(root)


def test_too_little_room_is_said_and_another_configuration_is_refused_meanwhile(home: Home) -> None:
    home = Home(home.data, home.cwd, {"DATA_MINER_MIN_FREE": "900TB"})
    following = home.start("run", "full.yaml")
    try:
        _wait_for(lambda: "download and extract wait" in home.talk(), following)
        (line,) = [line for line in home.talk().splitlines() if line.startswith("disk")]
        assert "900 TB must stay free (DATA_MINER_MIN_FREE)" in line and str(home.data) in line

        other = home.type("run", "full.yaml", "--set", "extract.fps=5")
        assert other.returncode == 2, other.stderr
        (line,) = other.stderr.splitlines()
        assert "extract.fps 10.0 → 5" in line and str(following.pid) in line

        _wait_for(lambda: home.status("full")["stages"]["download"]["waiting"] == 1, following)
        assert home.status("full")["state"] == "running"
    finally:
        following.send_signal(signal.SIGTERM)
        code = following.wait(60)
    assert code == 130
    assert home.status("full")["stages"]["download"] == {
        "waiting": 1,
        "running": 0,
        "done": 0,
        "dead": 0,
        "blocked": 0,
    }


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a small disk can be mounted by root only")
def test_a_full_store_makes_workers_wait_and_leaves_nothing_half_written(home: Home, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    _mount(store, "size=128k")
    try:
        home = Home(home.data, home.cwd, {"DATA_MINER_STORE": str(store)})
        following = home.start("run", "full.yaml")
        _wait_for(lambda: "is full" in home.talk(), following)
        _wait_for(lambda: home.status("full")["stages"]["extract"]["waiting"] == 1, following)
        found = home.status("full")
        assert found["failures"] == {} and found["frames"]["extracted"] == 0
        assert not [path for path in store.rglob("*.tar*") if path.is_file()], "no shard, whole or in part"
        assert not list((home.data / "scratch/extract").iterdir()), "nor beside it"

        _mount(store, "remount,size=64m")
        assert following.wait(60) == 0, home.talk()
    finally:
        following.kill()
        following.wait()
        subprocess.run(["umount", "-l", str(store)], check=True)
    assert "there is room again" in home.talk()
    found = home.status("full")
    assert found["frames"]["extracted"] == 40 and found["failures"] == {}


def _mount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)


def _wait_for(is_so: Callable[[], bool], process: "subprocess.Popen[str]", timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
