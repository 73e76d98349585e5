"""The environment: absolute paths, no secret in a repr, nothing created."""

import pickle
from pathlib import Path

import pytest

from data_miner.config.settings import MinFree, Settings, parse_min_free
from data_miner.errors import UsageError

GB = 1000**3


def test_the_flag_beats_the_environment_and_everything_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"DATA_MINER_DATA": "from_env", "DATA_MINER_STORE": "../store", "DATA_MINER_CONFIGS": "c"}
    assert Settings.from_env(env={}).data == tmp_path / "data"
    assert Settings.from_env(env=env).data == tmp_path / "from_env"
    settings = Settings.from_env("flag", env)
    assert settings.data == tmp_path / "flag"
    assert settings.store == str(tmp_path.parent / "store")
    assert settings.configs == tmp_path / "c"
    assert settings.postgres == tmp_path / "flag" / "postgres"
    assert list(tmp_path.iterdir()) == []
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_the_store_is_a_folder_of_the_data_folder_or_a_url() -> None:
    assert Settings.from_env("/d", {}).store == "/d/store"
    assert Settings.from_env("/d", {"DATA_MINER_STORE": "s3://lab-miner"}).store == "s3://lab-miner"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, None),
        ({"PGUSER": "kim", "PGPASSWORD": "x"}, None),
        ({"PGHOST": "db"}, ""),
        ({"PGSERVICE": "lab"}, ""),
        ({"PGHOST": "db", "DATABASE_URL": "postgresql://h/d"}, "postgresql://h/d"),
        ({"DATABASE_URL": ""}, None),
    ],
)
def test_a_server_is_named_by_url_or_by_libpq_variables(env: dict[str, str], expected: str | None) -> None:
    assert Settings.from_env(env=env).database_url == expected


def test_secrets_are_not_in_the_repr() -> None:
    env = {"DATABASE_URL": "postgresql://u:hunter2@h/d", "LOKI_URL": "http://u:hunter2@loki"}
    assert "hunter2" not in repr(Settings.from_env(env=env))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", MinFree(20 * GB, 0.05)),
        ("0", MinFree(0, 0.0)),
        ("30GB", MinFree(30 * GB, 0.0)),
        ("1.5 gib", MinFree(int(1.5 * 1024**3), 0.0)),
        ("500M", MinFree(500 * 1000**2, 0.0)),
        ("10%", MinFree(0, 0.1)),
        ("30GB,10%", MinFree(30 * GB, 0.1)),
    ],
)
def test_free_space_is_a_size_a_share_or_both(text: str, expected: MinFree) -> None:
    assert parse_min_free(text) == expected


@pytest.mark.parametrize("text", ["lots", "-1GB", "200%", "5%%", "1GB;2GB"])
def test_free_space_that_is_no_size_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"DATA_MINER_MIN_FREE"):
        Settings.from_env(env={"DATA_MINER_MIN_FREE": text})


def test_the_larger_of_size_and_share_stays_free() -> None:
    assert MinFree().of(100 * GB) == 20 * GB
    assert MinFree().of(1000 * GB) == 50 * GB
