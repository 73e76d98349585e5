"""Hashes name a configuration by what it does; differences are told in words."""

from pathlib import Path

import pytest

from data_miner.config.identity import config_hash, difference, rules_hash
from data_miner.config.project import load_project, restore, stored
from data_miner.config.settings import Settings
from data_miner.errors import ConfigError
from tests.support.projects import Load

PROJECT = """
description: Doors
classes: {door: [door], handle: [push bar]}
extract: {fps: 2, quality: 90}
"""
SAME = """# reformatted
extract:
    quality: 90   # JPEG
    fps: 2.0
classes:
  - door
  - handle: push bar
description: "Other words"
filter: {batch: 8}
dedup: {hash_distance: 6}
"""


def test_formatting_comments_order_and_description_do_not_change_the_hash(load: Load) -> None:
    one, other = load(PROJECT).config, load(SAME).config
    assert config_hash(one) == config_hash(other)
    assert len(config_hash(one)) == 12 and int(config_hash(one), 16) >= 0


@pytest.mark.parametrize(
    "change",
    ["extract.fps=3", "classes={handle: [push bar], door: [door]}", "sources.urls=[https://a.example/v]"],
)
def test_what_changes_the_result_changes_the_hash(load: Load, change: str) -> None:
    assert config_hash(load(PROJECT).config) != config_hash(load(PROJECT, change).config)


def test_the_rules_hash_is_the_same_below_another_folder(tmp_path: Path, settings: Settings) -> None:
    hashes = []
    for place in ("here", "there"):
        folder = tmp_path / place
        (folder / "films").mkdir(parents=True)
        (folder / "best.pt").write_bytes(b"")
        (folder / "p.yaml").write_text("classes: [door]\nsources: {folder: films}\ndetect: {model: best.pt}")
        config = load_project(f"{place}/p.yaml", settings, env={}).config
        hashes.append((config_hash(config), rules_hash(config)))
    assert hashes[0][0] != hashes[1][0]
    assert hashes[0][1] == hashes[1][1]


def test_the_rules_hash_follows_a_threshold(load: Load) -> None:
    assert rules_hash(load(PROJECT).config) != rules_hash(load(PROJECT, "detect.conf=0.5").config)


def test_a_stored_configuration_comes_back_as_it_was_even_with_sorted_keys(load: Load) -> None:
    config = load(PROJECT, "classes={zebra: [zebra], ant: [ant]}").config
    values = stored(config)
    resorted = {key: values[key] for key in sorted(values)}
    assert restore(resorted, "doors") == config
    assert list(restore(resorted, "doors").classes) == ["zebra", "ant"]


def test_a_stored_configuration_of_newer_code_is_told_as_such(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"stored config of doors: extract.shiny: unknown key"):
        restore({"extract": {"shiny": 1}}, "doors")


def test_a_difference_is_a_line_a_key(load: Load) -> None:
    old = load(PROJECT, "filter.thresholds.positive=0.3", "filter.negative=[a window]").config
    new = load(
        PROJECT, "filter.thresholds.positive=0.24", "filter.negative=[a wall]", "dedup.hash_distance=null"
    ).config
    assert difference(old, new) == [
        "filter.negative +a wall −a window",
        "filter.thresholds.positive 0.3 → 0.24",
        "dedup.hash_distance 6 → null",
    ]
    assert difference(old, old) == []


def test_reordered_classes_are_a_difference(load: Load) -> None:
    old, new = load("classes: [a, b]").config, load("classes: [b, a]").config
    assert difference(old, new) == ["classes reordered"]
