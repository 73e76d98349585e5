"""The console script: what it imports, how it names commands, how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import data_miner
from data_miner.cli import main
from data_miner.cli.main import COMMANDS, run
from data_miner.errors import UnreachableError

HEAVY = "torch ray cv2 av numpy pydantic psycopg alembic yt_dlp transformers ultralytics rich yaml logging"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from data_miner.cli.main import run; code = run(['--help']);"
        f"print('loaded:', *(name for name in {HEAVY.split()!r} if name in sys.modules)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded:\n")


def test_help_lists_every_command_by_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-h"]) == 0
    text = capsys.readouterr().out
    for section, commands in COMMANDS.items():
        assert f"{section}:" in text
        for name, line in commands.items():
            assert re.search(rf"^  {name} +{re.escape(line)}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", [name for commands in COMMANDS.values() for name in commands])
def test_every_command_is_found_and_says_what_the_list_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = next(commands[name] for commands in COMMANDS.values() if name in commands)
    command = main.cli.get_command(click.Context(main.cli), name)  # type: ignore[attr-defined]
    assert isinstance(command, click.Command) and command.name == name
    assert run([name, "--help"]) == 0
    assert line.rstrip(".") in " ".join(capsys.readouterr().out.split())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert data_miner.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("statsu", "did you mean status?"),
        ("init_db", "did you mean init-db?"),
        ("xyzzy", "data-miner --help"),
    ],
)
def test_an_unknown_command_names_the_nearest(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([typed]) == 2
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and shown.out == ""


def test_an_unknown_flag_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--jsno"]) == 2
    assert capsys.readouterr().err.startswith("data-miner: ")


@pytest.mark.parametrize("before", [True, False])
def test_the_data_folder_may_be_named_before_or_after_the_command(
    before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    place = ["--data", str(tmp_path / "here")]
    assert run([*place, "status"] if before else ["status", *place]) == 0
    assert f"nothing mined yet in {tmp_path / 'here'}" in capsys.readouterr().err


class _Failing:
    """Stands where a command would, to end as commands may end."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def main(self, *_: object, **__: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UnreachableError("the database sleeps"), 4, "data-miner: the database sleeps\n"),
        (KeyboardInterrupt(), 130, "data-miner: interrupted; what is committed stays\n"),
        (click.Abort(), 130, "data-miner: interrupted; what is committed stays\n"),
    ],
)
def test_errors_end_with_their_exit_code_and_one_line(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(main, "cli", _Failing(error))
    assert run([]) == code
    assert capsys.readouterr().err == said


def test_an_unexpected_error_is_one_line_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_MINER_DATA", str(tmp_path))
    monkeypatch.setattr(main, "cli", _Failing(ZeroDivisionError("two\nlines")))
    assert run([]) == 1
    line = capsys.readouterr().err
    assert line.startswith("data-miner: ZeroDivisionError: two lines; details in ") and line.count("\n") == 1
    kept = Path(line.rpartition(" in ")[2].strip())
    assert kept.parent == tmp_path / "logs" and "Traceback" in kept.read_text()
