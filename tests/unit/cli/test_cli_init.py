"""init and config show: a written file loads as it stands, and says where each value comes from."""

import json
from pathlib import Path

import pytest

from data_miner.cli.main import run
from data_miner.config.origins import default_values
from data_miner.config.project import load_project, show
from data_miner.config.settings import Settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    for name in ("DATABASE_URL", "DATA_MINER_PROJECT", "DATA_MINER_CONFIGS", "DATA_MINER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_project_file_loads_and_changes_nothing_but_its_class(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "oak_door"]) == 0
    assert "configs/projects/oak_door.yaml written" in capsys.readouterr().out
    text = (here / "configs/projects/oak_door.yaml").read_text()
    assert text.startswith("# configs/projects/oak_door.yaml      data-miner run --project oak_door\n")
    assert text.count(" # ") > 30, "every key is explained"
    loaded = load_project("oak_door", Settings.from_env())
    assert loaded.config.classes == {"oak_door": ("oak door",)}
    defaults = default_values()
    changed = [key for key, value, _ in show(loaded) if _listed(value) != _listed(defaults[key])]
    assert changed == ["classes"]


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_init_overwrites_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "oak_door"]) == 0
    path = here / "configs/projects/oak_door.yaml"
    path.write_text("mine\n")
    assert run(["init", "oak_door"]) == 2
    assert "is there already" in capsys.readouterr().err and path.read_text() == "mine\n"


@pytest.mark.parametrize("name", ["../x", "Door", "a b", "", "x" * 64])
def test_a_bad_name_is_refused(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and list(here.iterdir()) == []


def test_config_show_prints_each_value_with_its_origin(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "door.yaml").write_text("extract: {fps: 2}\n")
    monkeypatch.setenv("DATA_MINER_EXTRACT_QUALITY", "80")
    assert run(["config", "show", "-p", "door.yaml", "--set", "dedup.cosine=0.5", "--json"]) == 0
    rows = {row["key"]: (row["value"], row["origin"]) for row in json.loads(capsys.readouterr().out)}
    assert rows["extract.fps"] == (2, "file") and rows["extract.quality"] == (80, "env")
    assert rows["dedup.cosine"] == (0.5, "flag") and rows["detect.conf"] == (0.3, "base")


def test_a_misspelt_key_is_one_line_with_the_nearest(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "door.yaml").write_text("extract: {fsp: 2}\n")
    assert run(["config", "show", "-p", "door.yaml"]) == 2
    assert capsys.readouterr().err == "data-miner: door.yaml: extract.fsp: unknown key, did you mean extract.fps?\n"


def test_a_plan_before_the_first_run_counts_files_and_creates_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.support.videos import write_video

    (here / "films").mkdir()
    write_video(here / "films" / "one.mp4", range(0, 4100, 100))
    (here / "door.yaml").write_text("sources: {folder: films, search: {queries: [doors], results: 7}}\n")
    assert run(["plan", "-p", "door.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["videos"]["expected"] == {"value": 8, "known": "guessed"}
    work = {entry["stage"]: entry for entry in found["work"]}
    assert work["download"]["items"]["value"] == 7 and work["download"]["time_s"]["known"] == "paced"
    assert 2100 < work["extract"]["items"]["value"] < 2110, "seven guessed at five minutes, one of four seconds"
    assert sorted(path.name for path in here.iterdir()) == ["door.yaml", "films"]
