"""labels import, typed against a ledger in which a real project was mined: an edited copy of its own export."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data_miner.cli.main import run
from data_miner.config.settings import Settings
from data_miner.config.sites import load_sites
from data_miner.ledger.connection import Ledger
from tests.support import mined

Typed = Callable[..., tuple[str, str]]


@pytest.fixture
def typed(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command on the project; gives stdout and stderr."""

    def type_(command: str, *arguments: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert run([*command.split(), "-p", "patterns", *arguments]) == code, capsys.readouterr().err
        shown = capsys.readouterr()
        return shown.out, shown.err

    return type_


@pytest.fixture
def copy(typed: Typed, tmp_path: Path) -> Path:
    """An exported copy, to be edited: ten pictures, eight with one box each."""
    typed("export", "--out", str(tmp_path / "copy"), "--formats", "yolo")
    return tmp_path / "copy"


def humans(ledger: Ledger) -> dict[tuple[str, int], int]:
    """Pictures marked human, with their number of boxes."""
    with ledger.transaction() as cursor:
        rows = cursor.execute(
            """SELECT h.video_id, h.pts_ms, count(b.ordinal)::int AS n FROM human_label h
               LEFT JOIN human_box b USING (project_id, video_id, pts_ms) GROUP BY 1, 2"""
        ).fetchall()
    return {(row.video_id, row.pts_ms): row.n for row in rows}


def label_files(folder: Path, *, boxed: bool) -> list[Path]:
    """Label files with a box, or without."""
    return [path for path in sorted(folder.glob("labels/*/*.txt")) if bool(path.read_text()) == boxed]


def edited(copy: Path) -> dict[str, Path]:
    """Move one box, remove one, draw one."""
    moved, removed, *_ = label_files(copy, boxed=True)
    drawn = label_files(copy, boxed=False)[0]
    moved.write_text("0 0.400000 0.500000 0.250000 0.375000\n")
    removed.write_text("")
    drawn.write_text("0 0.5 0.5 0.1 0.1\n0 0.8 0.8 0.1 0.1\n")
    return {"moved": moved, "removed": removed, "drawn": drawn}


def test_what_a_person_changed_stands_in_the_next_version_and_the_rest_stays_the_machines(
    patterns: Ledger, typed: Typed, copy: Path, tmp_path: Path
) -> None:
    typed("export")
    paths = edited(copy)
    said, _ = typed("labels import", str(copy))
    assert said == (
        "10 images known by name: 7 as they were, 3 corrected (2 boxes new, 1 moved, 1 removed)."
        " Marked human; no run overwrites them.\n"
    )
    assert sorted(humans(patterns).values()) == [0, 1, 2]
    settings = Settings.from_env()
    mined.work_off(patterns, settings, load_sites(settings))
    typed("export")
    version = tmp_path / "data" / "datasets" / "patterns" / "v2"
    with (version / "manifest.csv").open() as file:
        labelled = {row["image"]: row["labelled_by"] for row in csv.DictReader(file)}
    corrected = {path.with_suffix(".jpg").name for path in paths.values()}
    assert {name for name, who in labelled.items() if who == "human"} == corrected
    for path in paths.values():
        (mine,) = version.glob(f"labels/*/{path.name}")
        assert sorted(mine.read_text().split()) == pytest.approx(sorted(_padded(path.read_text()).split())), path.name


def _padded(text: str) -> str:
    """Shares as the exporter writes them."""
    lines = (line.split() for line in text.splitlines())
    return "\n".join(" ".join([first, *(f"{float(word):.6f}" for word in rest)]) for first, *rest in lines)


def test_the_same_import_again_changes_nothing_and_a_new_one_replaces_it(
    patterns: Ledger, typed: Typed, copy: Path
) -> None:
    paths = edited(copy)
    typed("labels import", str(copy))
    before = humans(patterns)
    # At once, before dedup has spoken again on anything.
    again, _ = typed("labels import", str(copy))
    assert again == "10 images known by name: 10 as they were, none corrected. Nothing was changed.\n"
    assert humans(patterns) == before
    paths["drawn"].write_text("")
    said, _ = typed("labels import", str(copy))
    assert "1 corrected (2 boxes removed)" in said and sorted(humans(patterns).values()) == [0, 0, 1]


def test_nothing_is_imported_from_an_unchanged_copy_or_under_dry_run(
    patterns: Ledger, typed: Typed, copy: Path
) -> None:
    assert "10 as they were, none corrected" in typed("labels import", str(copy))[0]
    edited(copy)
    assert (
        "3 corrected (2 boxes new, 1 moved, 1 removed). Nothing was changed"
        in typed("labels import", str(copy), "--dry-run")[0]
    )
    assert not humans(patterns)


def test_a_zip_with_other_tools_names_is_known(patterns: Ledger, typed: Typed, copy: Path, tmp_path: Path) -> None:
    edited(copy)
    path = tmp_path / "project-1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("classes.txt", "thing\n")
        for number, label in enumerate(sorted(copy.glob("labels/*/*.txt"))):
            stem = f"{label.stem}_jpg.rf.{'ab' * 16}" if number % 2 else f"0a1b2c3d-{label.stem}"
            archive.write(label, f"labels/{stem}.txt")
    assert "10 images known by name: 7 as they were, 3 corrected" in typed("labels import", str(path))[0]


def test_coco_of_our_own_is_read_back_as_it_was(typed: Typed, tmp_path: Path) -> None:
    typed("export", "--out", str(tmp_path / "coco"), "--formats", "coco")
    assert "10 as they were, none corrected" in typed("labels import", str(tmp_path / "coco"))[0]
    path = tmp_path / "coco" / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["annotations"].pop()
    path.write_text(json.dumps(data))
    assert "1 corrected (1 box removed)" in typed("labels import", str(tmp_path / "coco"))[0]


def test_pictures_of_others_are_named_and_left_out(patterns: Ledger, typed: Typed, copy: Path) -> None:
    edited(copy)
    (copy / "labels" / "train" / "IMG_0042.txt").write_text("0 .5 .5 .1 .1\n")
    (copy / "labels" / "train" / "youtube_3kX9f0aQbLs_000083417.txt").write_text("")
    said, err = typed("labels import", str(copy))
    assert "10 images known by name" in said
    assert "2 not of patterns, left out: IMG_0042, youtube_3kX9f0aQbLs_000083417" in err
    for path in copy.glob("labels/*/local_*"):
        path.unlink()
    for path in copy.glob("images/*/*"):
        path.unlink()
    _, err = typed("labels import", str(copy), code=1)
    assert "none of the 2 images is of this project: IMG_0042" in err


def test_one_bad_line_and_nothing_is_imported(patterns: Ledger, typed: Typed, copy: Path) -> None:
    paths = edited(copy)
    paths["drawn"].write_text("0 .5 .5 .1 .1 .9\n")
    _, err = typed("labels import", str(copy), code=1)
    assert "line 1: six columns" in err and err.count("\n") == 1 and not humans(patterns)


def test_two_copies_of_one_picture_are_refused(patterns: Ledger, typed: Typed, copy: Path) -> None:
    path = edited(copy)["moved"]
    shutil.copy(path, path.with_name(f"{path.stem}_jpg.rf.{'ab' * 16}.txt"))
    _, err = typed("labels import", str(copy), code=1)
    assert "label the same picture; keep one" in err and not humans(patterns)


def test_a_rejected_picture_stays_out_whatever_is_drawn_on_it(patterns: Ledger, typed: Typed, copy: Path) -> None:
    path = edited(copy)["moved"]
    typed("reject", path.with_suffix(".jpg").name)
    _, err = typed("labels import", str(copy))
    assert "1 of them rejected before; they stay out" in err
    settings = Settings.from_env()
    mined.work_off(patterns, settings, load_sites(settings))
    with patterns.transaction() as cursor:
        assert cursor.execute("SELECT FROM project_frame WHERE reason = 'rejected' AND is_kept").rowcount == 0


def test_ten_thousand_label_files_of_others_are_counted(
    patterns: Ledger, typed: Typed, copy: Path, tmp_path: Path
) -> None:
    edited(copy)
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(copy / "data.yaml", "data.yaml")
        for label in copy.glob("labels/*/*.txt"):
            archive.write(label, f"labels/{label.name}")
        for number in range(10_000):
            archive.writestr(f"labels/youtube_x{number:05d}_000000000.txt", "0 .5 .5 .1 .1\n")
    said, err = typed("labels import", str(path))
    assert "3 corrected" in said and "10,000 not of patterns" in err
