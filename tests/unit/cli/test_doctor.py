"""doctor: what it finds on this machine, and what it says where something is wrong."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_miner.cli.checks import machine as machine_checks
from data_miner.cli.checks import service as service_checks
from data_miner.cli.checks import source as source_checks
from data_miner.cli.checks.check import Check, guarded
from data_miner.cli.main import run
from data_miner.config.project import load_project
from data_miner.config.settings import Settings
from data_miner.engine import devices
from data_miner.errors import UsageError

NAMES = "versions libraries data disk postgres store ray gpu vram weights js yt-dlp sites"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with nothing in the environment."""
    for name in ("DATABASE_URL", "RAY_ADDRESS", "DATA_MINER_PROJECT", "DATA_MINER_STORE", "DATA_MINER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_MINER_MIN_FREE", "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_doctor_makes_every_check_and_changes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in found] == NAMES.split()
    assert all(check["cure"] for check in found if check["verdict"] != "ok")
    assert code == (1 if any(check["verdict"] == "FAIL" for check in found) else 0)
    assert list(here.iterdir()) == []


def test_a_failure_is_exit_1_with_a_cure_below_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_MINER_MIN_FREE", "100%")
    assert run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("FAIL  disk"))
    assert lines[at + 1].strip().startswith("cure: free ") and "DATA_MINER_MIN_FREE" in lines[at + 1]
    assert lines[-1].endswith("Nothing was changed.")


@pytest.mark.parametrize(
    ("version", "days"),
    [
        ("2026.10.26", 25),
        ("2026.8.19", 93),
        ("2026.11.20.232815.dev0", 0),
        ("1.2", None),
        ("2026.13.1", None),
    ],
)
def test_the_age_of_yt_dlp_is_in_its_version(version: str, days: int | None) -> None:
    assert source_checks.age_days(version, date(2026, 11, 20)) == days


def test_an_old_yt_dlp_is_a_warning_with_its_cure() -> None:
    check = source_checks.yt_dlp(date(2099, 1, 1))
    assert (check.verdict, check.cure) == ("warn", "make upgrade-yt-dlp")


def test_a_database_that_does_not_answer_is_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://kim:hunter2@127.0.0.1:1/doors")
    check = service_checks.postgres(Settings.from_env())
    assert check.verdict == "FAIL" and "127.0.0.1:1/doors" in check.text and "hunter2" not in check.text


@contextmanager
def listening() -> Iterator[int]:
    """A port that takes connections."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_ray_is_local_or_must_answer(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service_checks.ray(Settings.from_env()).verdict in ("ok", "warn")
    with listening() as port:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        assert service_checks.ray(Settings.from_env()).verdict == "ok"
    assert service_checks.ray(Settings.from_env()).verdict == "FAIL"
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    refused = service_checks.ray(Settings.from_env())
    assert refused.verdict == "FAIL" and "RAY_ADDRESS=HOST:6379" in refused.cure


def test_a_models_absence_is_found_with_the_command_that_fetches_it(here: Path) -> None:
    (here / "door.yaml").write_text("classes: [door]\ndetect: {model: nobody/door-finder}\n")
    settings = Settings.from_env()
    config = load_project("door.yaml", settings).config
    check = service_checks.weights(settings, config)
    assert (check.verdict, check.cure) == ("FAIL", "data-miner models pull nobody/door-finder")


def test_a_driver_too_old_for_torch_is_found_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    card = devices.Card("GeForce RTX 3060", 12_000_000_000)
    monkeypatch.setattr(devices, "cards", lambda: ((card,), "390.157"))
    check = machine_checks.gpu()
    assert check.verdict == "FAIL" and "GeForce RTX 3060 12 GB" in check.text and "390.157" in check.text
    assert check.cure.startswith("sudo apt install nvidia-driver-")
    monkeypatch.setattr(devices, "cards", lambda: ((card,), "999.10"))
    assert machine_checks.gpu().verdict == "ok"


def test_a_cookie_file_that_is_not_there_is_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MINER_COOKIES_YOUTUBE", str(here / "none.txt"))
    check = source_checks.sites(Settings.from_env())
    assert check.verdict == "FAIL" and check.cure == "unset DATA_MINER_COOKIES_YOUTUBE"


def test_a_check_that_breaks_is_a_finding() -> None:
    def breaks() -> Check:
        raise ZeroDivisionError("by\nzero")

    def refuses() -> Check:
        raise UsageError("say where")

    assert guarded("disk", breaks).text == "ZeroDivisionError: by zero"
    assert guarded("disk", refuses).text == "say where"


def test_an_unmounted_disk_is_told_by_its_nearest_folder(here: Path) -> None:
    settings = Settings.from_env(str(here / "not" / "yet"))
    assert "will be made by the first run" in machine_checks.data(settings).text
    (here / "file").write_text("in the way")
    assert machine_checks.data(Settings.from_env(str(here / "file" / "data"))).verdict == "FAIL"


def test_a_shut_site_names_its_own_cure() -> None:
    assert source_checks._cure("extractor_broken") == "make upgrade-yt-dlp"
    row = SimpleNamespace(name="youtube", reason="bot_check", since=None, next_try=None)
    assert source_checks._shut(row).startswith("youtube bot_check")
