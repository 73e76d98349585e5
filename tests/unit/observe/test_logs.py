import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_miner.observe import logs

LOG = logging.getLogger("data_miner.stages.extract")


@pytest.fixture(autouse=True)
def taken_away() -> Iterator[None]:
    level = logging.getLogger("data_miner").level
    yield
    logs.close()
    logging.getLogger("data_miner").setLevel(level)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_a_line_says_when_where_what_and_how_much(tmp_path: Path) -> None:
    logs.setup("extract", tmp_path, verbosity=None)
    with logs.bound(run="r1", project="glass_door"), logs.bound(stage="extract", video="youtube:x"):
        LOG.info("cut %d frames", 7, extra={"seconds": 1.5, "path": Path("/a")})
    LOG.info("after")
    first, second = lines(tmp_path)
    assert first.pop("ts").endswith("+00:00")
    assert first == {
        "level": "info",
        "logger": "data_miner.stages.extract",
        "run": "r1",
        "project": "glass_door",
        "stage": "extract",
        "video": "youtube:x",
        "event": "cut 7 frames",
        "seconds": 1.5,
        "path": "/a",
    }
    assert "run" not in second


def test_threads_do_not_share_what_they_are_bound_to(tmp_path: Path) -> None:
    logs.setup("extract", tmp_path, verbosity=None)
    with logs.bound(video="one"):
        thread = threading.Thread(target=lambda: LOG.info("elsewhere"))
        thread.start()
        thread.join()
    assert "video" not in lines(tmp_path)[0]


def test_newlines_in_names_stay_on_one_line_and_errors_bring_their_traceback(tmp_path: Path) -> None:
    logs.setup("extract", tmp_path, verbosity=None)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        LOG.exception("a title\nwith newlines 🎬")
    (line,) = lines(tmp_path)
    assert line["event"] == "a title\nwith newlines 🎬"
    assert "ValueError: first" in line["error"]


def test_passwords_in_urls_are_never_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("extract", tmp_path, verbosity=1)
    LOG.info("cannot reach postgresql://kim:geheim@host/db", extra={"url": "http://kim:geheim@x"})
    written = next(tmp_path.glob("*.jsonl")).read_text() + capsys.readouterr().err
    assert "geheim" not in written
    assert "postgresql://***@host/db" in written


def test_people_see_more_with_v_and_less_with_q(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = {}
    for verbosity in (-1, 0, 1, 2):
        logs.setup("cli", tmp_path, verbosity=verbosity)
        for level in ("debug", "info", "warning", "error"):
            getattr(LOG, level)(level.upper())
        out, err = capsys.readouterr()
        assert out == "", "stdout is data"
        seen[verbosity] = [word for word in ("DEBUG", "INFO", "WARNING", "ERROR") if word in err]
    assert seen == {
        -1: ["ERROR"],
        0: ["WARNING", "ERROR"],
        1: ["INFO", "WARNING", "ERROR"],
        2: ["DEBUG", "INFO", "WARNING", "ERROR"],
    }


def test_the_file_has_other_libraries_only_from_warnings_on(tmp_path: Path) -> None:
    logs.setup("cli", tmp_path, verbosity=None)
    other = logging.getLogger("some_library")
    other.info("chatter")
    other.warning("trouble")
    LOG.info("ours")
    assert [line["event"] for line in lines(tmp_path)] == ["trouble", "ours"]


def test_all_files_together_stay_below_the_limit_and_lose_the_oldest_lines(tmp_path: Path) -> None:
    handler = logs.JsonFile(tmp_path / "extract-1.jsonl", kept_bytes=5_000, file_bytes=1_000)
    for n in range(200):
        handler.emit(logging.makeLogRecord({"msg": "x" * 50, "n": n}))
    kept = sorted(line["n"] for line in lines(tmp_path))
    handler.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5_000
    assert kept == list(range(kept[0], 200))
    assert kept[0] > 100


def test_a_living_processs_file_is_kept_and_a_dead_ones_is_dropped(tmp_path: Path) -> None:
    living = logs.JsonFile(tmp_path / "living-1.jsonl")
    living.emit(logging.makeLogRecord({"msg": "x" * 100}))
    (tmp_path / "dead-2.jsonl").write_text("{}\n" * 100)
    logs.prune(tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["living-1.jsonl"]
    living.close()


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    handler = logs.JsonFile(tmp_path / "x.jsonl")
    handler.stream.close()
    handler.stream = full.open("w")
    handler.maxBytes = 0
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"msg": "x"}))
    assert capsys.readouterr().err.count("No space left") == 1
    handler.stream = None


def test_logging_imports_no_http_client_before_loki_is_named() -> None:
    code = (
        "import sys; from data_miner.observe import logs; logs.setup('cli', None);"
        "print([m for m in ('requests', 'logging_loki', 'ray') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
