"""frames, typed against a ledger in which a real project was mined and to which scores were added."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from psycopg.types.json import Jsonb

from data_miner.cli.main import run
from data_miner.ledger.connection import Ledger
from data_miner.ledger.queries import sql
from tests.support.mined import BOX, Place
from tests.support.videos import read_index

MANY = 100_000
RULE = {"positive": 0.3, "negative": 0.3, "margin": 0.1, "junk": 0.3, "junk_margin": 0.1}
# positive, negative, junk of the frames at 0, 1, 2, … s of each video, and what comes of them.
SCORES = [
    (0.80, 0.10, 0.01, None),
    (0.25, 0.10, 0.01, ("no_match", "positive", 0.05)),
    (0.385, 0.29, 0.01, ("thin_margin", "margin", 0.005)),
    (0.9, 0.35, 0.01, ("negative", "negative", 0.05)),
    (0.371, 0.279, 0.01, ("thin_margin", "margin", 0.008)),
    (0.36, 0.1, 0.29, ("thin_margin", "junk_margin", 0.03)),
    (0.9, 0.1, 0.7, ("junk", "junk", 0.4)),
]


@pytest.fixture
def scored(patterns: Ledger) -> Ledger:
    """The mined project as one with a text filter: SCORES by second, judged by the ledger."""
    with patterns.transaction() as cursor:
        project = cursor.execute("SELECT id, plan #>> '{filter,key}' AS key FROM project").fetchone()
        cursor.execute(
            """UPDATE project SET config = jsonb_set(config, '{filter,model}', '"a_siglip"'),
                 plan = jsonb_set(
                    jsonb_set(plan, '{filter,params,is_scored}', 'true'), '{filter,params,thresholds}', %s)""",
            [Jsonb(RULE)],
        )
        cursor.execute("""UPDATE project SET config = jsonb_set(config, '{filter,positive}', '["a thing"]')""")
        for second, (positive, negative, junk, _) in enumerate(SCORES):
            cursor.execute(
                """INSERT INTO frame_score (project_id, segment_id, pts_ms, key, positive, positive_prompt, negative,
                     negative_prompt, junk, junk_prompt)
                   SELECT %s, segment_id, pts_ms, %s, %s, 'a thing', %s, 'a window', %s, 'a cartoon' FROM frame
                   WHERE pts_ms / 1000 = %s""",
                [project.id, project.key, positive, negative, junk, second],
            )
        cursor.execute(sql("verdicts", "judge_frames"), {"project_id": project.id, "segment_id": None})
    return patterns


def typed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Type `frames` on the project; returns what came on stdout."""
    capsys.readouterr()
    assert run(["frames", "-p", "patterns", *arguments]) == code, capsys.readouterr().err
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """The same with --json, read."""
    found: list[dict[str, Any]] = json.loads(typed(capsys, *arguments, "--json"))
    return found


def test_what_was_mined_is_listed_with_its_boxes(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    assert len(found) == 8 and all(frame["stage"] == "mined" for frame in found)
    assert [box["xyxy"] for frame in found for box in frame["boxes"]] == [list(BOX.xyxy)] * 8
    table = typed(capsys).splitlines()
    assert table[0].split() == ["frame", "at", "boxes", "sharpness"] and "thing 0.75" in table[1]


def test_every_stage_lists_what_it_dropped_and_why(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(listed(capsys, "--stage", "extract")) == 21
    copies = listed(capsys, "--stage", "dedup")
    assert len(copies) == 7 and {frame["reason"] for frame in copies} == {"duplicate"}
    assert all(frame["like"] and frame["like_bits"] <= 6 for frame in copies)
    assert copies == listed(capsys, "--reason", "duplicate", "--sort", "name")
    bare = listed(capsys, "--stage", "detect")
    assert len(bare) == 6 and {frame["reason"] for frame in bare} == {"no_detection"}
    assert typed(capsys, "--reason", "duplicate").count(" bits from local_") == 7
    with patterns.transaction() as cursor:
        cursor.execute("UPDATE project SET plan = jsonb_set(plan, '{detect,params,conf}', '0.8')")
    narrow = [frame for frame in listed(capsys, "--reason", "no_detection") if frame["failed_by"]]
    assert [(frame["failed_by"], round(frame["distance"], 3)) for frame in narrow] == [("conf", 0.05)] * 8
    every = listed(capsys, "--stage", "extract")
    assert [frame for frame in every if frame["stage"] == "detect"] == listed(capsys, "--stage", "detect")


def test_a_narrow_miss_says_which_threshold_and_by_how_much(scored: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for second, (*_, expected) in enumerate(SCORES):
        frames = [frame for frame in listed(capsys, "--stage", "extract") if frame["pts_ms"] // 1000 == second]
        assert len(frames) == 3
        if expected is None:
            assert {frame["failed_by"] for frame in frames} == {None}
        else:
            told = {(frame["reason"], frame["failed_by"], round(frame["distance"], 4)) for frame in frames}
            assert told == {expected}


def test_the_table_says_what_the_session_promises(scored: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    table = typed(capsys, "--reason", "thin_margin", "--sort", "score", "--limit", "4").splitlines()
    assert table[0].split() == ["frame", "at", "positive", "negative", "failed", "by"]
    assert [line.split()[2] for line in table[1:]] == ["0.385"] * 3 + ["0.371"]
    assert table[1].endswith("0:02  0.385 a thing  0.290 a window  margin 0.005")


def test_the_nearest_to_its_threshold_comes_first(scored: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for reason in ("thin_margin", "no_match", "negative", "junk"):
        distances = [frame["distance"] for frame in listed(capsys, "--reason", reason)]
        if reason == "thin_margin":  # two thresholds of one value
            assert [round(distance, 3) for distance in distances] == [0.005] * 3 + [0.008] * 3 + [0.03] * 3
        assert distances == sorted(distances) and len(distances) >= 3


def test_class_and_score_choose_by_the_box(scored: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    first = [frame for frame in listed(capsys, "--class", "thing", "--min-score", "0.75") if frame["boxes"]]
    assert first and listed(capsys, "--class", "thing", "--min-score", "0.76") == []
    assert {frame["positive"] for frame in listed(capsys, "--stage", "extract", "--min-score", "0.9")} == {0.9}


def test_one_video_is_named_in_any_way(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    video = listed(capsys)[0]["video"]
    name = listed(capsys)[0]["name"]
    expected = [frame for frame in listed(capsys, "--stage", "extract") if frame["video"] == video]
    for said in (video, video.partition(":")[2], name, f"runs/val/{name}"):
        assert listed(capsys, "--stage", "extract", "--video", said) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--reason", "thinmargin"), "--reason thinmargin: unknown; did you mean thin_margin? there are too_small, "),
        (("--stage", "dedub"), "--stage dedub: unknown; did you mean dedup? there are extract, filter, dedup, detect"),
        (("--class", "thin"), "--class thin: unknown; did you mean thing? there are thing"),
        (
            ("--stage", "dedup", "--reason", "junk"),
            "--reason junk: dedup drops for duplicate, similar, known, rejected",
        ),
        (("--video", "nowhere"), "--video nowhere: no such video in this project"),
        (("--json", "--csv"), "--json and --csv: one of them at a time"),
        (("--boxes",), "--boxes draws on what --out DIR writes; name a folder"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    typed(capsys, *arguments, code=2)
    assert run(["frames", "-p", "patterns", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"data-miner: {said}") and told.count("\n") == 1


def test_nothing_found_says_so(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["frames", "-p", "patterns", "--reason", "too_dark"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and "no such frame" in shown.err
    assert listed(capsys, "--reason", "too_dark") == []


def test_csv_is_read_back_by_any_reader(patterns: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(typed(capsys, "--csv"))))
    assert [row["name"] for row in rows] == [frame["name"] for frame in listed(capsys)]
    assert {row["boxes"] for row in rows} == {"thing 0.7500"}


def test_pictures_are_written_under_their_names_with_the_stores_bytes(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert typed(capsys, "--stage", "detect", "--out", str(tmp_path / "near")) == f"6 JPEGs in {tmp_path}/near\n"
    frames = listed(capsys, "--stage", "detect")
    assert sorted(path.name for path in (tmp_path / "near").iterdir()) == sorted(frame["name"] for frame in frames)
    for path in (tmp_path / "near").iterdir():
        picture = cv2.imread(str(path))
        assert picture is not None
        second = int(path.stem.rsplit("_", 1)[1]) // 1000
        assert read_index(picture.astype(np.uint8)) % 1000 in (10 * second, 10 * second + 1)
    typed(capsys, "--out", str(tmp_path / "near"), "--limit", "2")  # into a folder that is there
    assert len(list((tmp_path / "near").iterdir())) == 8


def test_boxes_are_drawn_where_they_are(patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    typed(capsys, "--out", str(tmp_path / "plain"))
    typed(capsys, "--out", str(tmp_path / "drawn"), "--boxes")
    x1, y1, x2, y2 = map(int, BOX.xyxy)
    for path in (tmp_path / "plain").iterdir():
        plain, drawn = (cv2.imread(str(folder / path.name)) for folder in (path.parent, tmp_path / "drawn"))
        assert plain is not None and drawn is not None
        changed = np.abs(plain.astype(int) - drawn).max(axis=2) > 60
        assert changed[y2, x1 + 8 : x2 - 8].mean() > 0.9 and not changed[y1 + 8 : y2 - 8, x1 + 8 : x2 - 8].any()


def test_collected_pixels_are_counted_and_said(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with patterns.transaction() as cursor:
        cursor.execute("UPDATE segment SET shard = NULL WHERE id = (SELECT max(id) FROM segment)")
        cursor.execute("UPDATE segment SET shard = 'shards/gone.tar' WHERE id = (SELECT min(id) FROM segment)")
    told = typed(capsys, "--stage", "extract", "--out", str(tmp_path / "rest"))
    assert told == f"7 JPEGs in {tmp_path}/rest; 14 more frames are known by numbers only: the pixels were collected\n"


def test_a_folder_that_cannot_be_written_is_one_line_and_holds_no_half_picture(
    patterns: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        """A disk that is full after the third picture."""
        if len(list(path.parent.iterdir())) < 3:
            return whole(path, data)
        whole(path, data[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert run(["frames", "-p", "patterns", "--out", str(tmp_path / "small")]) == 1
    said = capsys.readouterr().err
    assert (
        said == f"data-miner: --out {tmp_path}/small: cannot be written: no space left on device; 3 JPEGs are there\n"
    )
    left = list((tmp_path / "small").iterdir())
    assert len(left) == 3 and all(cv2.imread(str(path)) is not None for path in left)
    # /proc takes no folder, not even from root, whom permissions do not stop.
    assert run(["frames", "-p", "patterns", "--out", "/proc/near"]) == 1
    assert capsys.readouterr().err.startswith("data-miner: --out /proc/near: cannot be written: ")
    (tmp_path / "file").write_text("")
    assert run(["frames", "-p", "patterns", "--out", str(tmp_path / "file")]) == 2


def test_a_hundred_thousand_frames_stream_in_bounded_memory(
    patterns: Ledger, mined_template: tuple[str, Place], tmp_path: Path
) -> None:
    with patterns.transaction() as cursor:
        cursor.execute(_MANY, {"many": MANY})
    few, many = (
        _peak_bytes(tmp_path / "few", mined_template, "--limit", "10"),
        _peak_bytes(tmp_path / "many", mined_template),
    )
    assert many < few + 30_000_000, "rows pass through, they do not gather"
    frames = json.loads((tmp_path / "many").read_text())
    assert len(frames) == MANY + 21 and len({frame["name"] for frame in frames}) == MANY + 21
    assert [f["name"] for f in frames] == [f["name"] for f in sorted(frames, key=lambda f: (f["video"], f["pts_ms"]))]
    assert sum(frame["stage"] == "mined" for frame in frames) == 8 + MANY // 10


_MANY = """
WITH place AS (SELECT ps.segment_id, p.id AS project_id, p.plan #>> '{detect,key}' AS detector
    FROM project_segment ps JOIN project p ON p.id = ps.project_id ORDER BY 1 LIMIT 1),
numbers AS (SELECT 1000000 + g * 40 AS pts_ms, g, g %% 10 = 0 AS is_kept FROM generate_series(1, %(many)s) AS g),
frames AS (INSERT INTO frame
    SELECT segment_id, pts_ms, 0, 10, 320, 192, 50 + g %% 7, 100, 20, g FROM place, numbers RETURNING pts_ms),
verdicts AS (INSERT INTO project_frame (project_id, segment_id, pts_ms, reason, is_kept)
    SELECT project_id, segment_id, pts_ms, CASE WHEN NOT is_kept THEN 'too_blurry' END, nullif(is_kept, false)
    FROM place, numbers RETURNING pts_ms),
runs AS (INSERT INTO detection_run
    SELECT segment_id, pts_ms, detector FROM place, numbers WHERE is_kept RETURNING pts_ms)
INSERT INTO detection (segment_id, pts_ms, detector, ordinal, prompt, score, x1, y1, x2, y2)
SELECT segment_id, pts_ms, detector, 0, 'thing', 0.8, 10, 10, 90, 90 FROM place, numbers WHERE is_kept
"""


def _peak_bytes(out: Path, mined_template: tuple[str, Place], *more: str) -> int:
    """Resident memory of `frames --json` at its highest."""
    command = [sys.executable, "-m", "data_miner", "frames", "-p", "patterns", "--stage", "extract", "--json", *more]
    with out.open("w") as file:
        process = subprocess.Popen(command, stdout=file, cwd=mined_template[1].folder)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss * 1024
