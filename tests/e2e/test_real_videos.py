"""The proof: two real videos and a real detector give a YOLO dataset whose boxes are on the bottles and the people."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.mining import Home
from tests.support.shared import shared

DETECTOR = "models/yolo11n_int8_openvino_model"
PROJECT = """
description: bottles and people
classes: [bottle, person]
filter: {{min_side: 100, min_sharpness: 5, min_contrast: 3}}
dedup: {{hash_distance: 2}}
detect: {{model: {model}, imgsz: 640, conf: 0.4}}
"""
STATUS_KEYS = (
    "project state config videos stages frames boxes boxes_by_class drops failures sites eta_s disk_bytes dataset"
)

# What the labels say, and what the detector itself finds in the same pictures, in another working directory.
READ_AND_DETECT = """
import json, sys
from ultralytics import YOLO
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset
data = check_det_dataset(sys.argv[1], autodownload=False)
model, found = YOLO(sys.argv[2], task="detect"), {}
for split in ("train", "val"):
    dataset = YOLODataset(img_path=data[split], data=data, task="detect", augment=False, imgsz=640)
    for label in dataset.labels:
        height, width = label["shape"]
        own = [[data["names"][int(c)], (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width,
                (y + h / 2) * height] for c, (x, y, w, h) in zip(label["cls"].ravel(), label["bboxes"].tolist())]
        boxes = model.predict(label["im_file"], conf=0.3, iou=0.7, verbose=False)[0].boxes
        truth = [[model.names[int(c)], s, *b] for c, s, b in
                 zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxy.tolist())]
        found[label["im_file"].rsplit("/", 1)[-1]] = [split, own, truth]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def mined(home: Home) -> "subprocess.CompletedProcess[str]":
    """The run, as the issue words it."""
    (home.cwd / "two.yaml").write_text(PROJECT.format(model=shared(DETECTOR)))
    started = time.monotonic()
    done = home.type("run", "--project", "two.yaml", "--source", str(shared("videos")))
    print(f"two real videos: {time.monotonic() - started:.1f} s\n{done.stdout}")
    return done


@pytest.fixture(scope="module")
def images(home: Home, mined: Any) -> dict[str, Any]:
    """By image name: its side, its labels, and what the detector alone says of it."""
    elsewhere = home.cwd / "elsewhere"
    elsewhere.mkdir()
    quiet = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_CONFIG_DIR": str(elsewhere)}
    data = home.data / "datasets/two/latest/data.yaml"
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_DETECT, str(data), str(shared(DETECTOR))],
        cwd=elsewhere,
        env={**os.environ, **quiet, "YOLO_VERBOSE": "False"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_run_ends_well_and_prints_its_funnel(mined: "subprocess.CompletedProcess[str]") -> None:
    assert mined.returncode == 0, mined.stderr
    said = {line.split()[0]: line for line in mined.stdout.splitlines() if line.strip()}
    assert "2 mined" in said["videos"]
    assert "180 extracted → 180 good → 180 match" in said["frames"] and "with boxes" in said["frames"]
    assert "bottle" in said["boxes"] and "person" in said["boxes"]
    assert "datasets/two/v1" in said["dataset"]


def test_status_has_exactly_the_promised_keys_and_adds_up(home: Home, mined: Any) -> None:
    found = home.status("two")
    assert list(found) == STATUS_KEYS.split()
    assert found["state"] == "finished" and found["sites"] == {} and found["failures"] == {}
    assert found["videos"] == {
        "found": 2,
        "skipped": 0,
        "waiting": 0,
        "blocked": 0,
        "downloaded": 2,
        "mined": 2,
        "dead": 0,
    }
    for states in found["stages"].values():
        assert states == {"waiting": 0, "running": 0, "done": 2, "dead": 0, "blocked": 0}
    frames = found["frames"]
    assert frames["extracted"] == 180  # 39.9 s and 139.4 s at one a second, the first at 0
    assert frames["passed"] - frames["unique"] == found["drops"]["dedup"]["duplicate"]
    assert frames["unique"] - frames["with_boxes"] == found["drops"]["detect"]["no_detection"]
    assert found["boxes"] == sum(found["boxes_by_class"].values())
    # Every second of the bottles looks different: nearly the 97 boxes of shared/README.md. Empty floors do not.
    assert 60 <= found["boxes_by_class"]["bottle"] <= 110
    assert 25 <= found["boxes_by_class"]["person"] <= 115
    assert (Path(found["dataset"]) / "data.yaml").is_file()


def test_every_label_is_where_the_detector_sees_the_thing(images: dict[str, Any]) -> None:
    boxes = 0
    for name, (_, labels, truth) in images.items():
        for label in labels:
            boxes += 1
            near = [_iou(label[1:], seen[2:]) for seen in truth if seen[0] == label[0]]
            assert max(near, default=0) > 0.9, f"{name}: {label} is on nothing: {truth}"
        certain = [seen for seen in truth if seen[0] in ("bottle", "person") and seen[1] > 0.45]
        for seen in certain:
            assert any(seen[0] == label[0] and _iou(label[1:], seen[2:]) > 0.9 for label in labels), (name, seen)
    assert boxes >= 85


def test_bottles_stand_in_the_bottle_video_and_people_walk_in_the_other(home: Home, images: dict[str, Any]) -> None:
    with (home.data / "datasets/two/latest/manifest.csv").open() as file:
        titles = {row["image"]: row["title"] for row in csv.DictReader(file)}
    assert set(titles) == set(images)
    labels = {(titles[name], label[0]) for name, (_, found, _) in images.items() for label in found}
    assert ("bottle-detection", "bottle") in labels and ("one-by-one-person-detection", "person") in labels
    assert ("one-by-one-person-detection", "bottle") not in labels
    bottles = [box for _, found, _ in images.values() for label, *box in found if label == "bottle"]
    assert all((x2 - x1) * (y2 - y1) < 0.25 * 640 * 360 for x1, y1, x2, y2 in bottles), "they are small"


def test_sides_are_by_video(home: Home, images: dict[str, Any]) -> None:
    sides = {name[: name.rindex("_")]: set[str]() for name in images}
    for name, (split, _, _) in images.items():
        sides[name[: name.rindex("_")]].add(split)
    assert sorted(map(sorted, sides.values())) == [["train"], ["val"]]


def test_run_again_it_finds_nothing_to_do_and_starts_no_ray(home: Home, mined: Any) -> None:
    started, seen = time.monotonic(), set[str]()
    again = home.start("run", "--project", "two.yaml", "--source", str(shared("videos")))
    while again.poll() is None:
        seen |= _children(again.pid)
        time.sleep(0.01)
    print(f"run again: {time.monotonic() - started:.1f} s")
    assert again.returncode == 0, home.talk()
    assert again.stdout is not None
    assert "nothing was left to do" in again.stdout.read()
    assert not {name for name in seen if name.startswith(("raylet", "gcs_server", "ray"))}, seen
    assert [path.name for path in (home.data / "datasets/two").iterdir() if path.name != "latest"] == ["v1"]


def _children(pid: int) -> set[str]:
    try:
        return {child.name() for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _iou(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(area) - width * height)
