"""A project file, right and wrong: values, lookup, paths and the one line that says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_miner.config.files import packaged
from data_miner.config.origins import LEAVES, default_values, flatten
from data_miner.config.project import find_project, list_projects, load_project, show
from data_miner.config.schema import ProjectConfig
from data_miner.config.settings import Settings
from data_miner.errors import ConfigError
from tests.support.projects import Load
from tests.support.shared import shared

BROKEN = [
    ("extract: {fsp: 2}", "doors.yaml: extract.fsp: unknown key, did you mean extract.fps?"),
    ("extrct: {fps: 2}", "doors.yaml: extrct: unknown key, did you mean extract?"),
    ("fps: 2", "doors.yaml: fps: unknown key, did you mean extract.fps?"),
    ("detect: {confidence: 2}", "doors.yaml: detect.confidence: unknown key, did you mean detect.conf?"),
    ("filter: {thresholds: {postive: 0.2}}", "unknown key, did you mean filter.thresholds.positive?"),
    ("dedup: {zzz: 1}", "known here: hash_distance model pooling cosine against batch"),
    ("3: 4", "doors.yaml: 3: unknown key"),
    ("exports: {formats: [yolo]}", "doors.yaml: exports: unknown key, did you mean export?"),
    ("sources: {queries: [a door]}", "sources.queries: unknown key, did you mean sources.search.queries?"),
    ("extract: {fps: 0}", "doors.yaml: extract.fps: should be greater than 0, got 0"),
    ("extract: {fps: fast}", "doors.yaml: extract.fps: should be a valid number, got 'fast'"),
    ("extract: {fps: .nan}", "extract.fps: should be"),
    ("extract: {quality: 101}", "extract.quality: should be less than or equal to 100, got 101"),
    ("extract: {quality: true}", "extract.quality: should be a valid integer, got True"),
    ("extract: {strategy: scenes}", "extract.strategy: should be 'interval', 'keyframe' or 'scene', got 'scenes'"),
    ("extract: {scene_threshold: 0}", "extract.scene_threshold: should be greater than 0, got 0"),
    ("extract: 5", "extract: should be a section with keys of its own, got 5"),
    ("filter: {brightness: [235, 20]}", "filter.brightness: should be [darkest, brightest] within 0 to 255"),
    ("filter: {positive: [yes]}", "filter.positive[0]: should be text, got True; put it in quotes"),
    ("filter: {model: some/siglip}", "filter: positive is empty; name at least one prompt"),
    ("filter: {thresholds: {margin: 1.2}}", "filter.thresholds.margin: should be less than or equal to 1"),
    ("dedup: {hash_distance: 33}", "dedup.hash_distance: should be less than or equal to 32, got 33"),
    ("dedup: {cosine: 0}", "dedup.cosine: should be greater than 0, got 0"),
    ("detect: {conf: 0.01}", "detect.conf: should be greater than or equal to 0.05, got 0.01"),
    ("detect: {model: best.pt}", "classes: empty; name at least one for the detector"),
    ("classes: [a]\ndetect: {models: [x.pt, x.pt]}", "detect.models: names a model twice; its vote would count double"),
    ("classes: [a]\ndetect: {model: x.pt, models: [y.pt]}", "detect: model and models are both given"),
    ("classes: [a]\ndetect: {models: [x.pt], min_agreement: 2}", "detect: min_agreement 2: only 1 model(s) can agree"),
    ("classes: [a]\ndetect: {may_overlap: [[a, b]]}", "detect.may_overlap: 'b' is no class; there are a"),
    ("detect: {min_area: 0.96}", "detect: min_area should be below max_area"),
    ("export: {split: {train: 0.9, val: 0.2}}", "train and val should sum to 1, got 1.1"),
    ("export: {formats: [voc]}", "export.formats[0]: should be 'yolo' or 'coco', got 'voc'"),
    ("sources: {urls: https://a.example}", "sources.urls: should be a list, got 'https://a.example'"),
    ("sources: {search: {results: 0}}", "sources.search.results: should be greater than or equal to 1"),
    ("sources: {batch_file: none.txt}", "sources.batch_file: no such file or folder: none.txt"),
    ("sources: {folder: ../nowhere}", "sources.folder: no such file or folder: /"),
    ("detect: {model: ./best.pt}", "detect.model: no such file or folder: best.pt"),
    ("classes: {1: [door]}", "classes: a class name should be printable text, got 1; put it in quotes"),
    ("classes: [door, door]", "classes: 'door' is there twice"),
    ("classes: {a: [door], b: [Door]}", "classes: 'Door' is a word of both a and b"),
    ("classes: 7", "classes: should be names with their words, got 7"),
    ("", "doors.yaml: empty file"),
    ("# nothing\n", "doors.yaml: empty file"),
    ("- a\n- b\n", "doors.yaml: should be `key: value` lines, got list"),
    ("extract:\n  fps: 1\n  fps: 2\n", "doors.yaml:3: fps is there twice"),
    ("extract:\n\tfps: 1\n", "doors.yaml:2: not YAML: a tab; indent with spaces"),
    ("a: [1, 2\nb: 3\n", "doors.yaml:2: not YAML: "),
    ("a: !!python/object/apply:os.system [ls]", "doors.yaml:1: not YAML: could not determine a constructor"),
    (b"\xff\xfe\x00bad", "doors.yaml: not UTF-8 text"),
    (b"a: \x00", "doors.yaml: not YAML: "),
    ("[" * 5000, "doors.yaml: not YAML: "),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN, ids=[str(case[1])[:60] for case in BROKEN])
def test_a_wrong_file_is_one_line_with_place_and_cure(load: Load, text: str | bytes, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    message = str(caught.value)
    assert expected in message
    assert message.startswith("doors.yaml")
    assert "\n" not in message and len(message) < 400
    assert caught.value.exit_code == 2


def test_several_faults_are_counted(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"extract.fps: .* \(and 2 more\)$"):
        load("extract: {fps: -1, quality: 0}\ndetect: {conf: 2}")


def test_the_shared_project_loads_as_it_stands(settings: Settings) -> None:
    loaded = load_project(str(shared("glass_door.yaml")), settings, env={})
    assert list(loaded.config.classes) == ["glass_door", "door_handle"]
    assert loaded.config.filter.thresholds.positive == 0.30
    assert loaded.config.detect.model == "yolov8x-worldv2.pt"
    assert loaded.config.export.split.val == 0.2


def test_our_copies_are_the_shared_files() -> None:
    for ours, theirs in (("projects/glass_door.yaml", "glass_door.yaml"), ("sites.yaml", "sites.yaml")):
        assert (packaged() / ours).read_bytes() == shared(theirs).read_bytes()


def test_base_yaml_names_every_key_with_its_default() -> None:
    tree = yaml.safe_load((packaged() / "base.yaml").read_text())
    assert sorted(flatten(tree, "base.yaml")) == sorted(LEAVES)
    assert ProjectConfig.model_validate(tree) == ProjectConfig()


def test_every_line_of_base_yaml_with_a_value_is_explained_or_speaks_for_itself() -> None:
    lines = (packaged() / "base.yaml").read_text().splitlines()
    assert max(map(len, lines)) < 150
    assert sum("# " in line for line in lines) > 0.7 * len(LEAVES)


@pytest.mark.parametrize(
    "text",
    [
        "classes: [wine_glass]",
        "classes: wine_glass",
        "classes: {wine_glass: null}",
        "classes: {wine_glass: wine glass}",
    ],
)
def test_a_bare_class_name_is_its_own_word(load: Load, text: str) -> None:
    assert load(text).config.classes == {"wine_glass": ("wine glass",)}


def test_classes_keep_the_order_of_the_file(load: Load) -> None:
    assert list(load("classes: {zebra: [zebra], ant: [ant], bee: [bee, wasp]}").config.classes) == [
        "zebra",
        "ant",
        "bee",
    ]


def test_an_empty_section_or_list_says_nothing_more_than_that(load: Load) -> None:
    config = load("extract:\nsources: {urls: , search: }\nclasses:\n").config
    assert config.extract == ProjectConfig().extract
    assert config.sources.urls == ()


def test_sizes_are_written_as_for_yt_dlp(load: Load) -> None:
    assert load("download: {max_filesize: 500M}").config.download.max_filesize == 500 * 1024**2


def test_an_exponent_is_a_number(load: Load) -> None:
    assert load("detect: {min_area: 1e-3}").config.detect.min_area == 0.001


def test_relative_paths_in_a_file_are_relative_to_the_file(tmp_path: Path, settings: Settings) -> None:
    home = tmp_path / "deep" / "down"
    (home / "films").mkdir(parents=True)
    (home / "best.pt").write_bytes(b"")
    (home / "list.txt").write_text("")
    (home / "p.yaml").write_text(
        "classes: [door]\nsources: {folder: films, batch_file: ./list.txt}\n"
        "dedup: {against: [../down/films]}\ndetect: {model: best.pt}\n"
    )
    config = load_project("deep/down/p.yaml", settings, env={}).config
    assert config.sources.folder == str(home / "films")
    assert config.sources.batch_file == str(home / "list.txt")
    assert config.dedup.against == (str(home / "films"),)
    assert config.detect.model == str(home / "best.pt")


def test_relative_paths_in_a_flag_are_relative_to_the_working_directory(load: Load, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "best.pt").write_bytes(b"")
    loaded = load("classes: [door]", "detect.model=runs/best.pt")
    assert loaded.config.detect.model == str(tmp_path / "runs" / "best.pt")


def test_a_model_name_that_is_no_file_stays_a_name(load: Load) -> None:
    loaded = load("classes: [door]\ndetect: {model: IDEA-Research/grounding-dino-base}")
    assert loaded.config.detect.model == "IDEA-Research/grounding-dino-base"


def test_a_name_is_looked_for_here_then_in_the_named_folder_then_among_ours(tmp_path: Path) -> None:
    other = tmp_path / "team"
    (other / "projects").mkdir(parents=True)
    settings = Settings.from_env(env={"DATA_MINER_CONFIGS": str(other)})
    assert find_project("glass_door", settings) == packaged() / "projects" / "glass_door.yaml"
    (other / "cat.yaml").write_text("classes: [cat]")
    assert find_project("cat", settings) == other / "cat.yaml"
    (other / "projects" / "cat.yaml").write_text("classes: [cat]")
    assert find_project("cat", settings) == other / "projects" / "cat.yaml"
    assert {"cat", "glass_door"} <= set(list_projects(settings))
    assert find_project("no_such", settings) is None


def test_a_name_that_is_nowhere_is_told_with_its_neighbour(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"project 'glass_dor': no such file in .*did you mean glass_door"):
        load_project("glass_dor", settings)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nope.yaml", "nope.yaml: no such file or directory"),
        ("./", "is a directory"),
        ("p/q.yml", "p/q.yml: no such"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_as_typed(settings: Settings, path: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(path, settings, env={})
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd.yaml", "a\nb", "", "Ünicode", "."])
def test_a_hostile_name_is_refused_in_one_line(settings: Settings, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(name, settings)
    assert "\n" not in str(caught.value)


def test_a_file_whose_name_cannot_be_a_project_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "My Doors.yaml").write_text("classes: [door]")
    with pytest.raises(ConfigError, match=r"My Doors.yaml: .*rename it"):
        load_project("My Doors.yaml", settings)


def test_flags_beat_environment_beat_file_beat_base(load: Load) -> None:
    loaded = load(
        "extract: {fps: 2, quality: 80, max_side: 640}",
        "extract.fps=4",
        env={"DATA_MINER_EXTRACT_FPS": "3", "DATA_MINER_EXTRACT_QUALITY": "70"},
    )
    rows = {key: (value, origin) for key, value, origin in show(loaded)}
    assert rows["extract.fps"] == (4.0, "flag")
    assert rows["extract.quality"] == (70, "env")
    assert rows["extract.max_side"] == (640, "file")
    assert rows["extract.strategy"] == ("interval", "base")
    assert list(rows) == list(LEAVES) == list(default_values())


def test_a_base_beside_the_project_changes_the_defaults(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "configs" / "projects").mkdir(parents=True)
    (tmp_path / "configs" / "base.yaml").write_text("extract: {fps: 5}")
    (tmp_path / "configs" / "projects" / "p.yaml").write_text("classes: [door]")
    loaded = load_project("p", settings, env={})
    assert (loaded.config.extract.fps, loaded.origins["extract.fps"]) == (5.0, "base")
    assert loaded.config.extract.quality == 92


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("extract.fsp=2", "--set: extract.fsp: unknown key, did you mean extract.fps?"),
        ("extract.fps=x", "--set: extract.fps: should be a valid number, got 'x'"),
        ("extract.fps", "--set extract.fps: write section.key=value"),
        ("filter.positive=[a", "--set filter.positive:1: not YAML"),
    ],
)
def test_a_wrong_flag_is_told_as_a_flag(load: Load, flag: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("classes: [door]", flag)
    assert str(caught.value).startswith(expected)


def test_flags_take_yaml_values_and_whole_sections(load: Load) -> None:
    loaded = load(
        "classes: [door]",
        "filter.positive=[a door, a gate]",
        "filter.thresholds={margin: 0.2, junk: 0.4}",
        "dedup.model=",
    )
    assert loaded.config.filter.positive == ("a door", "a gate")
    assert loaded.config.filter.thresholds.margin == 0.2
    assert loaded.config.filter.thresholds.positive == 0.30
    assert loaded.config.dedup.model is None


def test_a_misspelt_environment_variable_is_an_error(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"DATA_MINER_DETECT_CONFF: unknown, did you mean DATA_MINER_DETECT_CONF"):
        load("classes: [door]", env={"DATA_MINER_DETECT_CONFF": "0.3", "DATA_MINER_DATA": "/tmp"})


def test_reading_configuration_imports_nothing_heavy() -> None:
    code = (
        "import sys, data_miner.config; light = 'pydantic' not in sys.modules;"
        "import data_miner.config.project, data_miner.config.sites, data_miner.config.identity;"
        "heavy = {'torch', 'ray', 'cv2', 'numpy', 'yt_dlp', 'av'} & set(sys.modules);"
        "sys.exit(0 if light and not heavy else str(heavy))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
