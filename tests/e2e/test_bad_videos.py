"""One run over a folder of everything that is wrong with videos: right frames or a reason, and the run goes on."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data_miner.ledger.connection import Ledger
from data_miner.store.artifacts import Store
from tests.support.mining import Home
from tests.support.videos import cut_off, pattern, read_index, wanted, write_sound, write_video

PROJECT = """
sources: {folder: films}
extract: {fps: 2, segment_s: 3}
filter: {min_side: 0, min_sharpness: 0, min_contrast: 0, brightness: [0, 255]}
"""
EVEN = [40 * i for i in range(100)]  # ms, 25 fps, 4 s
JITTER = np.random.default_rng(7)
VFR = np.cumsum(JITTER.choice([7, 20, 40, 300, 1700], 60, p=[0.3, 0.3, 0.3, 0.08, 0.02])).tolist()
PAGE = "<!doctype html><html><body>Sign in to confirm you're not a bot</body></html>\n" * 50


@dataclass(frozen=True)
class Case:
    """A file, and the frames that must come of it; None: it is unreadable."""

    name: str
    make: Callable[[Path], object]
    pts_ms: list[int] | None = field(default_factory=lambda: EVEN)
    shape: tuple[int, int] = (192, 128)
    is_truncated: bool = False


def _film(pts_ms: list[int] = EVEN, **options: Any) -> Callable[[Path], object]:
    return lambda path: write_video(path, pts_ms, **options)


def _rotated(path: Path) -> object:
    stored = [np.ascontiguousarray(np.rot90(pattern(i), 1)) for i in range(len(EVEN))]
    return write_video(path, EVEN, size=(128, 192), matrix=(0, 1, -1, 0), pictures=stored)


def _broken_off(path: Path) -> object:
    # With the index in front, what lies before the break can be read.
    return cut_off(write_video(path, EVEN, gop=12, options={"movflags": "faststart"}), 0.6)


CASES = [
    Case("plain.mp4", _film()),
    Case("truncated.mp4", lambda path: cut_off(write_video(path, EVEN, gop=10), 0.7), None),
    Case("broken off.mp4", _broken_off, is_truncated=True),
    Case("zero bytes.mp4", lambda path: path.touch(), None),
    Case("page.mp4", lambda path: path.write_text(PAGE), None),
    Case("sound.mp4", write_sound, None),
    Case("noise.mkv", lambda path: path.write_bytes(np.random.default_rng(1).bytes(300_000)), None),
    Case("one frame.mp4", _film([0]), [0]),
    Case("one late frame.mkv", _film([5000]), [5000]),
    Case("rotated.mp4", _rotated),
    Case("variable rate.mp4", _film(VFR), VFR),
    Case("wide pixels.mp4", _film(sample_aspect=Fraction(2)), shape=(384, 128)),
    Case("late start.mp4", _film([3456 + ms for ms in EVEN]), [3456 + ms for ms in EVEN]),
    Case("no duration.mkv", _film(options={"live": "1"})),
    Case("ten bit.mp4", _film(pix_fmt="yuv420p10le")),
    Case("odd size.mkv", _film(size=(191, 127), pix_fmt="yuv444p"), shape=(191, 127)),
    Case("100,000 wide.mkv", _film([0, 40], size=(100_000, 16), codec="ffv1"), None),
    Case("two\nlines\tand 🚪.mp4", _film(gop=5), shape=(192, 128)),
    Case("x" * 251 + ".mp4", _film(gop=6), shape=(192, 128)),
    Case("50% 'off' \"now\"; #1 ?a=b&c.mp4", _film(gop=7), shape=(192, 128)),
    Case("-rf --exec rm.mp4", _film(gop=8), shape=(192, 128)),
    Case(os.fsdecode(b"caf\xe9 in latin-1.mp4"), _film(gop=9), shape=(192, 128)),
]
GOOD = [case for case in CASES if case.pts_ms is not None]
BAD = [case for case in CASES if case.pts_ms is None]


@pytest.fixture(scope="module")
def run(home: Home) -> "subprocess.CompletedProcess[str]":
    """The one run."""
    films = home.cwd / "films"
    films.mkdir()
    for case in CASES:
        case.make(films / case.name)
    shutil.copy(films / "plain.mp4", films / "the same again.mp4")
    (films / "a folder.mp4").mkdir()
    (films / "nowhere.mp4").symlink_to(films / "not there.mp4")
    os.mkfifo(films / "pipe.mp4")
    (home.cwd / "bad.yaml").write_text(PROJECT)
    return home.type("run", "bad.yaml", timeout_s=200)


@pytest.fixture(scope="module")
def frames(home: Home, run: Any) -> dict[str, list[tuple[int, int, tuple[int, int], bool]]]:
    """By file name: (time, index that the stored picture carries, its size, is its segment truncated)."""
    server, store = home.server(), Store(str(home.data / "store"))
    found: dict[str, list[tuple[int, int, tuple[int, int], bool]]] = {}
    with Ledger(server.ensure()).transaction() as cursor:
        rows = cursor.execute(
            """SELECT v.url, f.pts_ms, f.shard_offset, f.size_bytes, f.width, f.height, s.shard, s.is_truncated
            FROM frame f JOIN segment s ON s.id = f.segment_id JOIN "fetch" ON "fetch".id = s.fetch_id
            JOIN video v ON v.id = "fetch".video_id ORDER BY f.pts_ms"""
        ).fetchall()
    for row in rows:
        data = np.frombuffer(store.read(row.shard, row.shard_offset, row.size_bytes), np.uint8)
        rgb = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        assert (row.width, row.height) == rgb.shape[1::-1]
        seen = (row.pts_ms, read_index(rgb), (row.width, row.height), row.is_truncated)
        found.setdefault(row.url, []).append(seen)
    server.release()
    return found


def test_the_run_goes_on_and_says_that_some_are_dead(home: Home, run: "subprocess.CompletedProcess[str]") -> None:
    assert run.returncode == 3, run.stderr
    assert "Traceback" not in run.stderr
    assert f"download unreadable {len(BAD)}" in run.stdout
    found = home.status("bad")
    assert found["state"] == "finished"
    assert found["videos"]["found"] == len(CASES), "the same content twice is one video"
    assert (found["videos"]["mined"], found["videos"]["dead"]) == (len(GOOD), len(BAD))
    assert found["failures"] == {"download": {"unreadable": len(BAD)}}


@pytest.mark.parametrize("case", GOOD, ids=lambda case: ascii(case.name)[:30])
def test_frames_have_their_true_times_and_shapes(case: Case, home: Home, frames: Any) -> None:
    seen = frames[_url(home, case)]
    expected = wanted(case.pts_ms or [], Fraction(2))
    if case.is_truncated:
        assert 2 < len(seen) < len(expected) and seen[-1][3]
        expected = expected[: len(seen)]
    assert [(ms, index) for ms, index, *_ in seen] == expected
    assert {size for _, _, size, _ in seen} == {case.shape}


def test_dead_ones_are_named_with_their_reason(home: Home, run: Any) -> None:
    done = home.type("jobs", "-p", "bad", "--dead", "--json")
    listed = {row["subject"]: row for row in json.loads(done.stdout)}
    assert set(listed) == {_url(home, case) for case in BAD}
    assert all(row["reason"] == "unreadable" and row["detail"] for row in listed.values())
    assert "sound only" in listed[str(home.cwd / "films/sound.mp4")]["detail"]
    assert "100000×16" in listed[str(home.cwd / "films/100,000 wide.mkv")]["detail"]
    table = home.type("jobs", "-p", "bad", "--dead").stdout
    assert "films/page.mp4" in table and len(table.splitlines()) == len(BAD) + 1


def _url(home: Home, case: Case) -> str:
    """As the ledger has it: the path, or its URL when the name is no text."""
    path = home.cwd / "films" / case.name
    return str(path) if case.name.isprintable() else path.as_uri()
