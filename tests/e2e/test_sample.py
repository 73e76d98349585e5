"""The offline sample, mined as a new user does it: real yt-dlp over loopback, all five stages, both tiny models."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_miner.ledger.connection import Ledger
from data_miner.sample.render import RenderedVideo, render_sample
from tests.support.mining import Home
from tests.support.postgres import reachable_folder

PROJECT = "glass_door_sample"
ROOT = Path(__file__).parents[2]
Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """One data folder, mined once for all tests of this file; later tests change its configuration in turn."""
    root = reachable_folder()
    found = Home(root / "data", root)
    (root / "configs").symlink_to(ROOT / "configs")
    yield found
    found.close()
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def first_run(home: Home) -> dict[str, Any]:
    """What `run --json` said of the first run."""
    done = home.type("run", "--project", PROJECT, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def videos(home: Home, first_run: dict[str, Any]) -> dict[str, RenderedVideo]:
    """The films that were mined, by title, with their truth."""
    return {video.title: video for video in render_sample(home.data / "sample")}


def test_the_sample_is_mined_to_the_end(first_run: dict[str, Any]) -> None:
    assert first_run["state"] == "finished"
    assert first_run["videos"]["dead"] == 0 and first_run["videos"]["waiting"] == 0
    assert first_run["drops"]["download"] == {"gone": 1, "keyword": 1}
    assert first_run["frames"]["extracted"] > first_run["frames"]["good"] > first_run["frames"]["passed"]
    assert first_run["frames"]["passed"] > first_run["frames"]["unique"] >= first_run["frames"]["with_boxes"] > 20
    assert {"too_dark", "too_blurry"} <= set(first_run["drops"]["filter"])
    assert Path(first_run["dataset"], "data.yaml").is_file()


def test_running_again_finds_nothing_to_do(home: Home, first_run: dict[str, Any]) -> None:
    before = _batches(home)

    done = home.type("run", "--project", PROJECT)

    assert done.returncode == 0 and "nothing was left to do" in done.stdout
    assert "ray http" not in done.stderr
    assert _batches(home) == before


def test_mined_boxes_agree_with_the_truth(first_run: dict[str, Any], videos: dict[str, RenderedVideo]) -> None:
    hits = mined = true = 0
    for title, pts_ms, boxes in _dataset_boxes(Path(first_run["dataset"])):
        wanted = [box for time, found in videos[title].truth if time == pts_ms for box in found]
        matched = _matches(boxes, wanted)
        hits, mined, true = hits + matched, mined + len(boxes), true + len(wanted)
    assert true > 20
    print(f"precision {hits / mined:.3f} recall {hits / true:.3f} of {true} doors")
    assert hits / mined >= 0.8
    assert hits / true >= 0.8


def test_the_text_filter_separates_glass_doors_from_the_rest(home: Home, videos: dict[str, RenderedVideo]) -> None:
    passed: dict[bool, list[bool]] = {True: [], False: []}
    subjects = {(title, f.pts_ms): f.subject for title, video in videos.items() for f in video.frames}
    for title, pts_ms, reason in _filtered(home):
        subject = subjects.get((title, pts_ms))
        if subject is not None:  # of a doubtful picture nobody could say what the filter should answer
            passed[subject == "glass_door"].append(reason is None)
    assert len(passed[True]) > 30 and len(passed[False]) > 30
    print(f"doors that pass {sum(passed[True])}/{len(passed[True])}, others {sum(passed[False])}/{len(passed[False])}")
    assert sum(passed[True]) / len(passed[True]) >= 0.8
    assert sum(passed[False]) / len(passed[False]) <= 0.2


def test_a_new_conf_is_sql(home: Home, first_run: dict[str, Any]) -> None:
    before = _batches(home)

    after = _run(home, "detect.conf=0.6")

    assert _batches(home) == before
    assert after["boxes"] < first_run["boxes"]
    assert after["frames"]["unique"] == first_run["frames"]["unique"]


def test_a_threshold_embeds_nothing_and_detects_only_what_is_newly_unique(home: Home) -> None:
    usual = _passed(home)
    strict = _run(home, f"filter.thresholds.positive={_median_score(home)}")
    before, known = _batches(home), _detected(home)

    loose = _run(
        home,
        "filter.thresholds.positive=0.02",
        "filter.thresholds.negative=0.9",
        "filter.thresholds.margin=0",
    )

    new = _batches(home)[len(before) :]
    kept = _kept(home)
    assert strict["frames"]["passed"] < len(usual) < loose["frames"]["passed"]
    assert len(kept - known) > 0
    assert {stage for stage, _ in new} <= {"dedup", "detect"}
    assert sum(items for stage, items in new if stage == "detect") == len(kept - known)
    assert kept <= _detected(home)


def test_a_threshold_put_back_costs_nothing_but_sql_and_dedup(home: Home) -> None:
    before = _batches(home)

    _run(home)

    assert {stage for stage, _ in _batches(home)[len(before) :]} <= {"dedup"}


def test_a_prompt_encodes_text_and_reads_no_pixel(home: Home) -> None:
    before, vectors = _batches(home), _embedded(home)

    _run(home, "filter.negative=[a wooden door, a window, a long hallway]")

    new = _batches(home)[len(before) :]
    assert {stage for stage, _ in new} <= {"filter", "dedup", "detect"}
    assert sum(items for stage, items in new if stage == "filter") == 0  # items are pictures embedded
    assert _embedded(home) == vectors


def _run(home: Home, *overrides: str) -> dict[str, Any]:
    flags = [word for override in overrides for word in ("--set", override)]
    done = home.type("run", "--project", PROJECT, "--json", *flags)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _query(home: Home, text: str) -> list[Any]:
    server = home.server()
    try:
        with Ledger(server.ensure()).transaction() as cursor:
            return cursor.execute(text).fetchall()
    finally:
        server.release()


def _batches(home: Home) -> list[tuple[str, int]]:
    return [(r.stage, r.items) for r in _query(home, "SELECT stage, items FROM batch_stat ORDER BY id")]


def _passed(home: Home) -> list[Any]:
    return _query(home, "SELECT segment_id, pts_ms FROM project_frame WHERE reason IS NULL")


def _median_score(home: Home) -> float:
    """Half of the frames that pass have more."""
    text = """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s.positive) AS median FROM frame_score s
        JOIN project_frame pf USING (project_id, segment_id, pts_ms) WHERE pf.reason IS NULL"""
    return float(_query(home, text)[0].median)


def _kept(home: Home) -> set[tuple[int, int]]:
    return {tuple(row) for row in _query(home, "SELECT segment_id, pts_ms FROM project_frame WHERE is_kept")}


def _detected(home: Home) -> set[tuple[int, int]]:
    return {tuple(row) for row in _query(home, "SELECT segment_id, pts_ms FROM detection_run")}


def _embedded(home: Home) -> list[Any]:
    return _query(home, "SELECT segment_id, model, pts_ms FROM embedding ORDER BY 1, 2, 3")


def _filtered(home: Home) -> list[Any]:
    return _query(
        home,
        """SELECT v.title, pf.pts_ms, pf.reason FROM project_frame pf
        JOIN project_segment ps USING (project_id, segment_id) JOIN video v ON v.id = ps.video_id
        WHERE coalesce(pf.reason, '') NOT IN ('too_small', 'too_dark', 'too_bright', 'flat', 'too_blurry')""",
    )


def _dataset_boxes(dataset: Path) -> Iterator[tuple[str, int, list[Box]]]:
    """Title, time and boxes of every image, from the dataset's own COCO files and manifest."""
    import csv

    with (dataset / "manifest.csv").open(newline="") as file:
        origin = {row["image"]: (row["title"], int(row["pts_ms"])) for row in csv.DictReader(file)}
    for split in ("train", "val"):
        coco = json.loads((dataset / "annotations" / f"instances_{split}.json").read_text())
        for image in coco["images"]:
            boxes = [
                (x, y, x + w, y + h)
                for x, y, w, h in (a["bbox"] for a in coco["annotations"] if a["image_id"] == image["id"])
            ]
            title, pts_ms = origin[Path(image["file_name"]).name]
            yield title, pts_ms, boxes


def _matches(mined: list[Box], true: list[Box]) -> int:
    """One-to-one matches at IoU 0.5, best first."""
    pairs = sorted(((_iou(a, b), i, k) for i, a in enumerate(mined) for k, b in enumerate(true)), reverse=True)
    used_mined, used_true = set[int](), set[int]()
    for overlap, i, k in pairs:
        if overlap >= 0.5 and i not in used_mined and k not in used_true:
            used_mined.add(i)
            used_true.add(k)
    return len(used_mined)


def _iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
