"""export and plan, typed against a ledger in which a real project was mined."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from data_miner.cli.main import run
from data_miner.export.versions import latest_version
from data_miner.ledger import projects, words
from data_miner.ledger.connection import Ledger
from tests.support.mined import BOX, Place
from tests.support.videos import read_index

_TABLES = "project source video project_video fetch segment frame project_segment project_frame detection job site"


def rows_of(ledger: Ledger) -> dict[str, list[str]]:
    """Every row of every table as text."""
    found = {}
    with ledger.transaction() as cursor:
        for table in _TABLES.split():
            rows = cursor.execute(f'SELECT t::text AS text FROM "{table}" t ORDER BY 1').fetchall()
            found[table] = [row.text for row in rows]
    return found


def typed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Type a command; returns what came on stdout."""
    capsys.readouterr()
    assert run(arguments) == code, capsys.readouterr().err
    return capsys.readouterr().out


def test_an_export_holds_the_pictures_and_boxes_of_the_ledger(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = typed(capsys, "export", "-p", "patterns")
    folder = tmp_path / "data" / "datasets" / "patterns" / "v1"
    version = latest_version(folder.parent)
    assert version is not None and version.path == folder
    # Eight with a box; a fifth of ten may be without.
    assert (version.images, version.background, version.boxes) == (10, 2, 8) and "10 images" in text
    data = yaml.safe_load((folder / "data.yaml").read_text())
    assert data["names"] == {0: "thing"} and "path" not in data
    boxed = 0
    for picture in folder.glob("images/*/*.jpg"):
        second = int(picture.stem.rsplit("_", 1)[1]) // 1000
        decoded = cv2.imread(str(picture))
        assert decoded is not None
        assert read_index(decoded.astype(np.uint8)) % 1000 in (10 * second, 10 * second + 1)
        lines = Path(str(picture.with_suffix(".txt")).replace("/images/", "/labels/")).read_text().split()
        boxed += bool(lines)
        if lines:
            x, y, width, height = map(float, lines[1:])
            x1, y1, x2, y2 = BOX.xyxy
            assert (x * 320, width * 320) == pytest.approx(((x1 + x2) / 2, x2 - x1), abs=0.01)
            assert (y * 192, height * 192) == pytest.approx(((y1 + y2) / 2, y2 - y1), abs=0.01)
    assert boxed == 8


def test_each_video_is_on_one_side_and_no_side_is_empty(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    typed(capsys, "export", "-p", "patterns")
    folder = tmp_path / "data" / "datasets" / "patterns" / "v1"
    sides = {split: {p.name.rsplit("_", 1)[0] for p in folder.glob(f"images/{split}/*")} for split in ("train", "val")}
    assert sides["train"] and sides["val"] and not sides["train"] & sides["val"]
    with patterns.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None and project.version == 1
        kept = projects.splits(cursor, project.id)
    assert {video.replace(":", "_") for video, side in kept.items() if side == "val"} == sides["val"]


def test_a_second_export_makes_no_version_and_a_threshold_makes_one(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = typed(capsys, "export", "-p", "patterns")
    assert "as it was" in typed(capsys, "export", "-p", "patterns")
    with patterns.transaction() as cursor:
        cursor.execute("""UPDATE project SET plan = jsonb_set(plan, '{detect,params,conf}', '0.9')""")
    assert "v1" in first and "v2   0 images (+0 −10)" in typed(capsys, "export", "-p", "patterns")
    assert (tmp_path / "data/datasets/patterns/latest").readlink() == Path("v2")


def test_a_copy_goes_where_it_is_told_and_makes_no_version(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    typed(capsys, "export", "-p", "patterns", "--out", str(tmp_path / "copy"), "--formats", "coco")
    assert (tmp_path / "copy/annotations/instances_train.json").is_file()
    assert not (tmp_path / "copy/data.yaml").exists() and not (tmp_path / "data").exists()
    assert run(["export", "-p", "patterns", "--out", str(tmp_path / "copy")]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_a_tar_comes_on_stdout(patterns: Ledger, mined_template: tuple[str, Place]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "data_miner", "export", "-p", "patterns", "--out", "-"],
        capture_output=True,
        cwd=mined_template[1].folder,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        names = archive.getnames()
    assert "data.yaml" in names and sum(name.endswith(".jpg") for name in names) == 10


def test_a_terminated_command_ends_as_an_interrupted_one(patterns: Ledger, mined_template: tuple[str, Place]) -> None:
    command = [sys.executable, "-m", "data_miner", "export", "-p", "patterns", "--out", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=mined_template[1].folder)
    assert process.stdout is not None
    process.stdout.read(1)  # it writes now, more than a pipe holds
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip() == b"data-miner: interrupted; what is committed stays"  # below the ^C


def test_an_unknown_format_is_one_line(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "-p", "patterns", "--formats", "voc"]) == 2
    assert capsys.readouterr().err == "data-miner: --formats voc: unknown; there are yolo, coco\n"


def test_a_plan_without_a_change_has_nothing_to_do_and_changes_nothing(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = rows_of(patterns)
    assert "nothing to mine" in typed(capsys, "plan", "-p", "patterns")
    assert rows_of(patterns) == before and not (tmp_path / "data").exists()


def test_a_plan_tells_what_a_threshold_would_do_and_changes_nothing(
    patterns: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows_of(patterns)
    text = typed(capsys, "plan", "-p", "patterns", "--set", "filter.min_side=200")
    assert "filter.min_side 0 → 200" in text and "+0 −21" in text
    found = json.loads(typed(capsys, "plan", "-p", "patterns", "--set", "filter.min_side=200", "--json"))
    assert found["passed"] == {"now": 21, "then": 0}
    assert rows_of(patterns) == before


def test_a_plan_counts_exactly_what_a_new_detector_setting_costs(
    patterns: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(typed(capsys, "plan", "-p", "patterns", "--set", "detect.imgsz=320", "--json"))
    work = {entry["stage"]: entry["items"] for entry in found["work"]}
    assert work["detect"] == {"value": 14, "known": "measured"}, "kept frames, and nothing else"
    assert work["download"]["value"] == work["extract"]["value"] == 0


def test_a_plan_counts_pictures_of_another_rate_from_known_lengths(
    patterns: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(typed(capsys, "plan", "-p", "patterns", "--set", "extract.fps=2", "--json"))
    extract = next(entry for entry in found["work"] if entry["stage"] == "extract")
    assert extract["items"]["value"] == pytest.approx(2 * (6.1 + 6.2 + 6.3), abs=3)
    assert extract["time_s"] == {"value": pytest.approx(extract["time_s"]["value"]), "known": "measured"}
    assert extract["size_bytes"]["value"] > 50_000


def test_a_plan_with_another_source_counts_its_files(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path, mined_template: tuple[str, Place]
) -> None:
    (tmp_path / "more").mkdir()
    film = mined_template[1].folder / "films" / "film1.mp4"
    (tmp_path / "more" / "again.mp4").write_bytes(film.read_bytes())
    found = json.loads(typed(capsys, "plan", "-p", "patterns", "--source", str(tmp_path / "more"), "--json"))
    assert found["sources"] == {"all": 2, "not_asked": 1}
    assert found["videos"]["expected"] == {"value": 1, "known": "measured"}
    with patterns.transaction() as cursor:
        assert cursor.execute("SELECT FROM source").rowcount == 1, "a plan adds no source"


def test_a_plan_names_a_model_that_is_not_here(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "-p", "patterns", "--set", "detect.model=nowhere.pt"]) == 1
    shown = capsys.readouterr()
    assert "nowhere.pt: no such model" in shown.err and shown.err.count("\n") == 1
    assert "sources    1" in shown.out


def test_an_export_while_all_is_decided_anew_writes_nothing(
    patterns: Ledger, mined_template: tuple[str, Place], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = str(mined_template[1].file)
    assert run(["export", "-p", file]) == 0
    with patterns.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None
        words.take_turn(cursor, project.id)
        words.apply(cursor, project.id)
    capsys.readouterr()
    for more in ([], ["--out", str(tmp_path / "copy")]):
        assert run(["export", "-p", file, *more]) == 1
        assert "data-miner run -p patterns goes on" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists() and not (tmp_path / "data" / "datasets" / "patterns" / "v2").exists()
