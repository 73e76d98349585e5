"""A working directory of its own for every test, and a way to load a project from text."""

from pathlib import Path

import pytest

from data_miner.config.project import LoadedProject, load_project
from data_miner.config.settings import Settings
from tests.support.projects import Load


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an empty machine whose working directory is the test's."""
    monkeypatch.chdir(tmp_path)
    return Settings.from_env(env={})


@pytest.fixture
def load(settings: Settings, tmp_path: Path) -> Load:
    """Load a project file of this text, under flags and environment."""

    def loader(text: str | bytes, *flags: str, env: dict[str, str] | None = None) -> LoadedProject:
        path = tmp_path / "doors.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_project(str(path), settings, flags, env or {})

    return loader
