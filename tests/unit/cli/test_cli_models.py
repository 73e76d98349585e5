"""`data-miner models` against a hub on the loopback: what is listed, fetched, said, and never said."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_miner.cli.main import run
from data_miner.cli.weights import wanted
from data_miner.config.schema import ProjectConfig
from data_miner.models import transfer
from data_miner.sample.weights import DETECTOR, SCORER
from tests.support.hub_server import Hub, Repository, only_hub

SCORER_NAME, TEXT_NAME, GONE = "acme/tiny-siglip", "acme/tiny-clip", "acme/gone"
TOKEN = "hf_averysecrettokenindeed"
ROOT = Path(__file__).parents[3]
PROJECT = f"""
classes: [door]
sources: {{urls: ["https://example.org/a"]}}
filter: {{model: {SCORER_NAME}, positive: [a door]}}
detect: {{model: yolov8s-worldv2.pt, text_model: {TEXT_NAME}}}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with what the project `doors` needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transfer, "PAUSE_S", 0.01)
    for name in ("DATA_MINER_DATA", "DATA_MINER_PROJECT", "DATA_MINER_CONFIGS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "configs" / "projects"
    folder.mkdir(parents=True)
    (folder / "doors.yaml").write_text(PROJECT)
    files = {path.name: path.read_bytes() for path in SCORER.iterdir()}
    other = {**files, "merges.txt": b"a b"}
    own = Hub({SCORER_NAME: Repository(files), TEXT_NAME: Repository(other)}, token=TOKEN)
    own.assets["yolov8s-worldv2.pt"] = DETECTOR.read_bytes()
    with only_hub(own, tmp_path, monkeypatch) as running:
        yield running


def test_a_projects_weights_are_announced_fetched_and_then_all_here(
    server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "pull", "-p", "doors"]) == 0
    shown = capsys.readouterr()
    assert [line.partition(":")[0] for line in shown.out.splitlines()] == [SCORER_NAME, "yolov8s-worldv2.pt", TEXT_NAME]
    assert f"{SCORER_NAME}: 1 MB to data/models/{SCORER_NAME}" in shown.err.splitlines()
    assert f"{SCORER_NAME}: 100 %, 1 MB" in shown.err
    asked = len(server.asked)
    assert run(["models", "pull", "-p", "doors"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"all here: {SCORER_NAME}, yolov8s-worldv2.pt, {TEXT_NAME}\n" and shown.err == ""
    assert len(server.asked) == asked


def test_one_that_fails_is_one_line_and_keeps_no_other_from_coming(
    server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "pull", "-q", GONE, "runs/best.pt", SCORER_NAME]) == 1
    shown = capsys.readouterr()
    assert shown.out == f"{SCORER_NAME}: here, in data/models/{SCORER_NAME}\n"
    first, second = shown.err.splitlines()
    assert first.startswith(f"data-miner: {GONE}: no such model") and second.startswith("data-miner: runs/best.pt: no")


def test_the_list_tells_what_is_here_what_is_damaged_and_who_wants_what_is_not(
    server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models"]) == 0
    shown = capsys.readouterr()
    assert f"not here: {TEXT_NAME}, {SCORER_NAME}, " in shown.err and "data-miner models pull NAME" in shown.err
    assert run(["models", "pull", "-q", SCORER_NAME, "yolov8s-worldv2.pt"]) == 0
    _fill_cache_with_the_real_client(TEXT_NAME, server)
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == 0
    every = json.loads(capsys.readouterr().out)  # the projects that come with the package want models too
    found = {entry["name"]: entry for entry in every if entry["wanted_by"] == ["doors"]}
    assert set(found) == {SCORER_NAME, TEXT_NAME, "yolov8s-worldv2.pt"}
    assert {entry["state"] for entry in found.values()} == {"here"}
    scorer, text = found[SCORER_NAME], found[TEXT_NAME]
    assert (scorer["kind"], scorer["role"]) == ("siglip", "filter")
    assert scorer["digest"] == f"{SCORER_NAME}@{server.repositories[SCORER_NAME].commit}"
    assert Path(text["path"]).is_relative_to(tmp_path / "cache") and text["digest"].startswith(f"{TEXT_NAME}@")
    assert found["yolov8s-worldv2.pt"]["digest"].startswith("sha256:")
    os.truncate(tmp_path / "data" / "models" / SCORER_NAME / "config.json", 3)
    assert run(["models", "list"]) == 0
    shown = capsys.readouterr()
    assert "config.json has 3 bytes" in shown.err
    assert [line.split()[-2:] for line in shown.out.splitlines() if line.startswith(SCORER_NAME)] == [
        ["damaged", "doors"]
    ]


def test_without_a_name_or_a_project_it_asks_which(server: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull"]) == 2
    assert "which project?" in capsys.readouterr().err


def test_the_token_is_in_no_output_and_no_file(server: Hub, tmp_path: Path) -> None:
    server.repositories[SCORER_NAME].is_gated = True
    for token, code in ((f"{TOKEN}x", 1), (TOKEN, 0)):
        done = _typed("-vv", "models", "pull", SCORER_NAME, HF_TOKEN=token, HF_DEBUG="1")
        assert done.returncode == code, done.stderr
        assert TOKEN not in done.stdout + done.stderr
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not any(TOKEN.encode() in path.read_bytes() for path in kept)


def test_offline_not_one_socket_is_opened(server: Hub) -> None:
    code = """
import sys
def no_socket(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("SOCKET", event, file=sys.stderr)
sys.addaudithook(no_socket)
from data_miner.cli.main import run
sys.exit(run(["models", "pull", "-p", "doors"]))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "SOCKET" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all("HF_HUB_OFFLINE forbids to fetch it" in line for line in lines)
    assert not server.asked


def test_on_a_terminal_there_is_a_bar_with_bytes_and_rate(server: Hub) -> None:
    server.pace_s = 0.03
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "data_miner", "models", "pull", SCORER_NAME],
        env={**_environment(), "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as child:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:  # the terminal's other end is closed
                break
    os.close(ours)
    assert child.returncode == 0
    assert b"tiny-siglip" in text and b"/1.0 MB" in text and b"MB/s" in text


def test_only_detectors_that_read_words_want_a_text_model(tmp_path: Path) -> None:
    def needs(**detect: object) -> dict[str, str]:
        return wanted(ProjectConfig.model_validate({"classes": ["door"], "detect": detect}), [tmp_path])

    assert needs(model="yolo11n.pt") == {"yolo11n.pt": "detect.model"}
    assert needs(model="IDEA-Research/grounding-dino-base") == {"IDEA-Research/grounding-dino-base": "detect.model"}
    assert needs(model="yoloe-11s-seg.pt", text_model="a/clip")["a/clip"] == "detect.text_model"
    both = needs(models=["yolo11n.pt", "yolov8x-worldv2.pt"], text_model="a/clip")
    assert both == {"yolo11n.pt": "detect.models", "yolov8x-worldv2.pt": "detect.models", "a/clip": "detect.text_model"}
    filtered = {"filter": {"model": "a/siglip", "positive": ["x"]}, "dedup": {"model": "a/dino"}}
    assert wanted(ProjectConfig.model_validate(filtered), []) == {"a/siglip": "filter.model", "a/dino": "dedup.model"}


def _environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_CACHE": str(Path.cwd() / "cache"), "PYTHONPATH": str(ROOT)}


def _typed(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "data_miner", *arguments]
    return subprocess.run(command, env={**_environment(), **variables}, capture_output=True, text=True, timeout=60)


def _fill_cache_with_the_real_client(name: str, server: Hub) -> None:
    from huggingface_hub import constants, snapshot_download

    snapshot_download(name, endpoint=server.url, cache_dir=constants.HF_HUB_CACHE)
