"""Datasets read back by those who will read them: Ultralytics' own loader and pycocotools."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from data_miner.export.base import clipped
from data_miner.export.versions import VersionSummary, write_version
from data_miner.records import Box
from tests.support.datasets import CLASSES, HEIGHT, WIDTH, image_of, images_of, jpeg_of

ODD_CLASSES = ["yes", "no: door", "1", "Türgriff"]

READ_WITH_ULTRALYTICS = """
import json, sys
from ultralytics.data.utils import check_det_dataset
from ultralytics.data.dataset import YOLODataset
data = check_det_dataset(sys.argv[1], autodownload=False)
found = {}
for split in ("train", "val"):
    dataset = YOLODataset(img_path=data[split], data=data, task="detect", augment=False, imgsz=160)
    for label in dataset.labels:
        name = label["im_file"].rsplit("/", 1)[-1]
        found[name] = [split, label["cls"].ravel().tolist(), label["bboxes"].tolist(), list(label["shape"])]
print(json.dumps({"names": data["names"], "images": found}))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> VersionSummary:
    """A version of 8 videos with 6 images each, one box reaching over the edge."""
    images = images_of(8, 6)
    over = Box("glass_door", 0.9, (-30.0, -5.0, WIDTH + 40.0, HEIGHT / 2))
    flat = Box("glass_door", 0.8, (WIDTH + 5.0, 3.0, WIDTH + 9.0, 9.0))
    images[7] = image_of(1, 1, (over, flat))
    return write_version(tmp_path_factory.mktemp("set") / "doors", images, CLASSES, ["yolo", "coco"], jpeg_of)


def read_with_ultralytics(data: Path, elsewhere: Path) -> dict[str, object]:
    """What Ultralytics finds, started in another working directory."""
    quiet = {
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "0",
        "YOLO_CONFIG_DIR": str(elsewhere),
        "YOLO_VERBOSE": "False",
    }
    command = [sys.executable, "-c", READ_WITH_ULTRALYTICS, str(data)]
    done = subprocess.run(
        command,
        cwd=elsewhere,
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "corrupt" not in done.stderr + done.stdout
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_ultralytics_reads_every_box_from_another_working_directory(written: VersionSummary, tmp_path: Path) -> None:
    found = read_with_ultralytics(written.path / "data.yaml", tmp_path)
    assert found["names"] == {"0": "glass_door", "1": "door_handle"}
    images = found["images"]
    assert isinstance(images, dict) and len(images) == 48
    split, classes, boxes, shape = images["youtube_vid-0002_000003417.jpg"]
    assert (split, shape) == ("train", [HEIGHT, WIDTH])
    assert classes == [0, 1]
    assert boxes[0] == pytest.approx([80 / 160, 60 / 96, 80 / 160, 72 / 96], abs=1e-6)
    assert boxes[1] == pytest.approx([15 / 160, 25 / 96, 10 / 160, 10 / 96], abs=1e-6)
    assert images["youtube_vid-0004_000004417.jpg"][:2] == ["val", []]
    split, classes, boxes, _ = images["youtube_vid-0001_000001417.jpg"]
    assert classes == [0]
    assert boxes[0] == pytest.approx([0.5, 0.25, 1, 0.5], abs=1e-6)


def test_ultralytics_reads_class_names_that_yaml_would_take_for_something_else(tmp_path: Path) -> None:
    boxes = tuple(Box(name, 0.5, (8.0 * i, 8.0, 8.0 * i + 8, 24.0)) for i, name in enumerate(ODD_CLASSES))
    images = [image_of(video, 1, boxes) for video in (3, 4)]
    version = write_version(tmp_path / "odd", images, ODD_CLASSES, ["yolo"], jpeg_of).path
    found = read_with_ultralytics(version / "data.yaml", tmp_path)
    assert found["names"] == {str(i): name for i, name in enumerate(ODD_CLASSES)}


def test_pycocotools_reads_every_box(written: VersionSummary, capsys: pytest.CaptureFixture[str]) -> None:
    sides = {split: COCO(str(written.path / f"annotations/instances_{split}.json")) for split in ("train", "val")}
    ids = {split: set(coco.getImgIds()) for split, coco in sides.items()}
    assert (len(ids["train"]), len(ids["val"])) == (36, 12)
    assert not ids["train"] & ids["val"]
    coco = sides["train"]
    assert [entry["name"] for entry in coco.loadCats(sorted(coco.getCatIds()))] == CLASSES
    assert sorted(coco.getCatIds()) == [1, 2]
    picture = next(entry for entry in coco.dataset["images"] if entry["file_name"] == "youtube_vid-0002_000003417.jpg")
    assert (written.path / "images" / "train" / picture["file_name"]).is_file()
    boxes = coco.loadAnns(coco.getAnnIds(imgIds=picture["id"]))
    assert [(box["category_id"], box["bbox"], box["area"]) for box in boxes] == [
        (1, [40, 24, 80, 72], 5760),
        (2, [10, 20, 10, 10], 100),
    ]
    assert coco.getAnnIds(catIds=[2], iscrowd=False)


def test_every_reader_is_told_of_as_many_boxes_as_the_summary_counts(written: VersionSummary) -> None:
    lines = sum(len(path.read_text().splitlines()) for path in written.path.glob("labels/*/*.txt"))
    coco = sum(len(json.loads(path.read_text())["annotations"]) for path in written.path.glob("annotations/*.json"))
    assert lines == coco == written.boxes == sum(written.boxes_by_class.values())
    assert (written.images, written.background, written.train, written.val) == (48, 8, 36, 12)


def test_labels_have_five_columns_inside_the_picture(written: VersionSummary) -> None:
    for path in written.path.glob("labels/*/*.txt"):
        for line in path.read_text().splitlines():
            number, *shares = line.split()
            x, y, width, height = map(float, shares)
            assert number in ("0", "1")
            assert x - width / 2 >= 0 and x + width / 2 <= 1 + 1e-6
            assert y - height / 2 >= 0 and y + height / 2 <= 1 + 1e-6


def test_a_data_yaml_holds_train_val_names_and_no_path(written: VersionSummary) -> None:
    keys = [line.partition(":")[0] for line in (written.path / "data.yaml").read_text().splitlines()]
    assert [key for key in keys if not key.startswith(" ")] == ["train", "val", "names"]


def test_a_box_beside_the_picture_is_left_out() -> None:
    box = Box("glass_door", 0.9, (WIDTH + 1.0, 0.0, WIDTH + 9.0, 9.0))
    assert clipped(image_of(1, 1, (box,))) == []
