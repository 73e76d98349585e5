"""Labels as annotation tools write them, and as nobody should: each read right, or refused in one line."""

import json
import stat
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from data_miner.errors import DataMinerError
from data_miner.labels.base import Labels, ShareBox
from data_miner.labels.reading import read_labels

CLASSES = ("glass_door", "door_handle")
NAME = "youtube_3kX9f0aQbLs_000083417"
LINE = "0 0.5 0.5 0.25 0.5\n"
BOX = ShareBox("glass_door", 0.375, 0.25, 0.625, 0.75)
NAMES = "names:\n  0: glass_door\n  1: door_handle\n"

# A thousand million names in a thousand bytes.
LAUGHS = (
    "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    + "names: *a9\n"
)


def folder_of(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a tree."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def zip_of(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """The same as a zip."""
    path = root / "labels.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def boxes_of(labels: Labels) -> dict[str, tuple[ShareBox, ...]]:
    """Boxes by the name the tool gave the picture."""
    return {image.name: image.boxes for image in labels.images}


def coco_of(*annotations: Mapping[str, Any], **changed: Any) -> str:
    """An instances file of one picture of 640 × 320."""
    data: dict[str, Any] = {
        "images": [{"id": 7, "file_name": f"{NAME}.jpg", "width": 640, "height": 320}],
        "annotations": [{"id": n, "image_id": 7, "category_id": 1, **one} for n, one in enumerate(annotations)],
        "categories": [{"id": 0, "name": "doors"}, {"id": 1, "name": "glass_door"}],
    }
    return json.dumps(data | changed)


LAYOUTS: dict[str, dict[str, str | bytes]] = {
    "ultralytics": {"data.yaml": NAMES, f"labels/train/{NAME}.txt": LINE, f"images/train/{NAME}.jpg": b"x"},
    "cvat yolo 1.1": {
        "obj.names": "glass_door\ndoor_handle\n",
        "obj.data": "classes = 2\ntrain = data/train.txt\n",
        "train.txt": f"data/obj_train_data/{NAME}.jpg\n",
        f"obj_train_data/{NAME}.txt": LINE,
    },
    "cvat ultralytics": {
        "data.yaml": f"path: .\ntrain: train.txt\n{NAMES}",
        "train.txt": f"images/train/{NAME}.jpg\n",
        f"labels/train/{NAME}.txt": LINE,
    },
    "label studio": {
        "classes.txt": "door_handle\nglass_door",
        "notes.json": '{"categories": [{"id": 0, "name": "door_handle"}], "info": {}}',
        f"labels/0a1b2c3d-{NAME}.txt": LINE.replace("0", "1", 1),
        f"images/0a1b2c3d-{NAME}.jpg": b"x",
    },
    "roboflow": {
        "data.yaml": "nc: 2\nnames: ['glass-door', 'Door Handle']\n",
        "README.roboflow.txt": "https://universe.roboflow.com",
        f"train/labels/{NAME}_jpg.rf.0123456789abcdef0123456789abcdef.txt": LINE,
        f"train/images/{NAME}_jpg.rf.0123456789abcdef0123456789abcdef.jpg": b"x",
    },
    "bare": {f"{NAME}.txt": LINE, "classes.txt": "glass_door\n"},
}


@pytest.mark.parametrize("made", [folder_of, zip_of])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_tools_layout_gives_the_box(layout: str, made: Callable[..., Path], tmp_path: Path) -> None:
    labels = read_labels(made(tmp_path, LAYOUTS[layout]), CLASSES)
    assert [image.boxes for image in labels.images] == [(BOX,)]
    assert not labels.notes


def test_an_empty_file_and_a_picture_without_one_show_nothing(tmp_path: Path) -> None:
    files = {"data.yaml": NAMES, "labels/a_000000001.txt": "\n", "images/b_000000001.jpg": b"", "labels/c.txt": LINE}
    labels = read_labels(folder_of(tmp_path, files), CLASSES)
    assert boxes_of(labels) == {"a_000000001": (), "b_000000001": (), "c": (BOX,)}
    assert [image.has_file for image in labels.images] == [True, True, False]
    assert labels.notes == ["1 of the images there have no label file: taken as showing nothing"]


def test_ids_without_names_are_taken_in_the_projects_order_and_it_is_said(tmp_path: Path) -> None:
    labels = read_labels(folder_of(tmp_path, {f"labels/{NAME}.txt": LINE.replace("0", "1", 1)}), CLASSES)
    assert [image.boxes[0].label for image in labels.images] == ["door_handle"]
    assert "the project's order" in labels.notes[0]


def test_a_value_may_be_off_by_a_rounding_and_the_box_is_cut_at_the_edge(tmp_path: Path) -> None:
    labels = read_labels(folder_of(tmp_path, {f"{NAME}.txt": "0 0.0005 0.5 1.0009 1\n"}), CLASSES)
    assert labels.images[0].boxes == (ShareBox("glass_door", 0.0, 0.0, pytest.approx(0.50095), 1.0),)


def test_a_line_that_is_there_twice_is_one_box(tmp_path: Path) -> None:
    assert read_labels(folder_of(tmp_path, {f"{NAME}.txt": LINE * 2}), CLASSES).images[0].boxes == (BOX,)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"labels/a.txt": "0 .5 .5 .2 .2\n0 .5 .5 .2 .2 .9\n"}, "labels/a.txt line 2: six columns"),
        ({"labels/a.txt": "0 .1 .1 .2 .1 .2 .2 .1 .2"}, "9 columns, a segmentation"),
        ({"labels/a.txt": "0 .1 .1"}, "3 columns; a box has five"),
        ({"labels/a.txt": "0 .5 .5 nan .2"}, "within 0 to 1"),
        ({"labels/a.txt": "0 .5 .5 inf .2"}, "within 0 to 1"),
        ({"labels/a.txt": "0 320 240 64 48"}, "within 0 to 1"),
        ({"labels/a.txt": "0 .5 .5 0 .2"}, "without an area"),
        ({"labels/a.txt": "door .5 .5 .2 .2"}, "are not five numbers"),
        ({"labels/a.txt": "7 .5 .5 .2 .2", "data.yaml": NAMES}, "class 7 has no name; named are 0 to 1"),
        ({"labels/a.txt": "0.5 .5 .5 .2 .2"}, "class 0.5 has no name"),
        (
            {"labels/a.txt": LINE, "classes.txt": "glas_door"},
            "class 'glas_door' is none of the project's; did you mean",
        ),
        ({"labels/a.txt": "0 .5 .5 .2 .2 \ud7ff".encode("utf-16")}, "labels/a.txt: not UTF-8"),
        ({"labels/a.txt": LINE, "labels/val/a.txt": LINE}, "label the same picture; remove one"),
        ({"labels/a.txt": LINE, "data.yaml": NAMES, "classes.txt": "x\ny"}, "name the classes differently"),
        ({"labels/a.txt": LINE, "data.yaml": "names: ["}, "data.yaml: no YAML"),
        ({"labels/a.txt": LINE, "data.yaml": "names: 3"}, "names should be a list"),
        ({"labels/a.txt": LINE, "data.yaml": LAUGHS}, "names should be a list"),
        ({"labels/a.txt": b"0" * 4_100_000}, "larger than any label file"),
        ({"photo.jpg": b"x"}, "no YOLO or COCO labels in it"),
        ({"inner.zip": b"PK"}, "an archive in it (inner.zip)"),
        ({"a.json": "{"}, "a.json: no JSON"),
        ({"a.json": "[" * 100_000}, "a.json: no JSON"),
        ({"a.json": '{"images": []}'}, "a.json: not COCO"),
        ({"a.json": "[]"}, "a.json: not COCO"),
        ({"a.json": coco_of({"bbox": [1, 2, 3]})}, "bbox should be four numbers"),
        ({"a.json": coco_of({"bbox": [1, 2, float("nan"), 3]})}, "bbox should be four numbers"),
        ({"a.json": coco_of({"bbox": [1, 2, 10**400, 3]})}, "bbox should be four numbers"),
        ({"a.json": coco_of({"bbox": [600, 2, 90, 3]})}, "lies outside of 640×320"),
        ({"a.json": coco_of({"bbox": [1, 2, 0, 3]})}, "without an area"),
        ({"a.json": coco_of({"bbox": [1, 2, 3, 3], "category_id": 9})}, "category_id 9 has no name"),
        ({"a.json": coco_of({"bbox": [1, 2, 3, 3], "category_id": 0})}, "class 'doors' is none of the project's"),
        ({"a.json": coco_of({"bbox": [1, 2, 3, 3], "image_id": [7]})}, "is no image of the file"),
        ({"a.json": coco_of({"segmentation": {"counts": "x", "size": [2, 2]}})}, "neither a bbox nor an outline"),
        ({"a.json": coco_of(), "b.json": coco_of()}, "twice; remove one"),
        ({"a.json": coco_of(images=[{"id": 7}])}, "an image without id or file_name"),
    ],
)
def test_what_does_not_hold_is_one_line(files: dict[str, str | bytes], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataMinerError) as told:
        read_labels(folder_of(tmp_path, files), CLASSES)
    assert said in str(told.value) and "\n" not in str(told.value)


def test_coco_boxes_are_shares_and_outlines_are_boxed(tmp_path: Path) -> None:
    outline = {"segmentation": [[240, 80, 400, 80, 400, 240, 240, 240]], "bbox": []}
    text = coco_of({"bbox": [240.0, 80, 160, 160]}, outline, {"bbox": [0, 0, 640, 320]})
    labels = read_labels(folder_of(tmp_path, {"annotations/instances_default.json": text}), CLASSES)
    assert boxes_of(labels) == {f"{NAME}.jpg": (BOX, ShareBox("glass_door", 0.0, 0.0, 1.0, 1.0))}


def test_a_coco_picture_without_an_annotation_shows_nothing(tmp_path: Path) -> None:
    assert boxes_of(read_labels(folder_of(tmp_path, {"result.json": coco_of()}), CLASSES)) == {f"{NAME}.jpg": ()}


def test_where_both_formats_are_yolo_is_read_and_the_other_can_be_asked_for(tmp_path: Path) -> None:
    files = {**LAYOUTS["ultralytics"], "annotations/instances_train.json": coco_of(), "version.json": "{}"}
    folder = folder_of(tmp_path, files)
    labels = read_labels(folder, CLASSES)
    assert boxes_of(labels) == {NAME: (BOX,)} and "--format coco" in labels.notes[0]
    assert boxes_of(read_labels(folder, CLASSES, "coco")) == {f"{NAME}.jpg": ()}


@pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "labels/../../a.txt", "C:/a.txt", "labels\\a.txt"])
def test_a_zip_that_reaches_out_of_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels/b.txt", LINE)
        entry = zipfile.ZipInfo("x")
        entry.filename = name  # the constructor would tidy it
        archive.writestr(entry, LINE)
    with pytest.raises(DataMinerError, match="outside its folder; refused"):
        read_labels(path, CLASSES)


def test_a_zip_with_a_link_or_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "links.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("labels/b.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataMinerError, match="is a link; refused"):
        read_labels(path, CLASSES)
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("labels/b.txt", LINE)
        archive.writestr("labels/b.txt", "")
    with pytest.raises(DataMinerError, match="is there twice; refused"):
        read_labels(path, CLASSES)


def test_an_encrypted_or_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {f"labels/{NAME}.txt": LINE * 50})
    whole = path.read_bytes()
    central, local = whole.index(b"PK\x01\x02"), whole.index(b"PK\x03\x04")
    locked = bytearray(whole)
    locked[central + 8] |= 1
    locked[local + 6] |= 1
    path.write_bytes(locked)
    with pytest.raises(DataMinerError, match="is encrypted"):
        read_labels(path, CLASSES)
    damaged = bytearray(whole)
    damaged[local + 30 + len(f"labels/{NAME}.txt") + 4] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DataMinerError, match="damaged in the zip"):
        read_labels(path, CLASSES)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataMinerError, match="no zip that can be read"):
        read_labels(path, CLASSES)


def test_a_zip_bomb_is_stopped_by_what_is_read_whatever_its_header_says(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"labels/a.txt": b"\n" * 60_000_000})
    assert path.stat().st_size < 100_000
    with pytest.raises(DataMinerError, match="larger than any label file"):
        read_labels(path, CLASSES)
    lying = bytearray(path.read_bytes())
    at = lying.index(b"PK\x01\x02") + 24
    lying[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(lying)
    with pytest.raises(DataMinerError, match=r"damaged in the zip|larger than any"):
        read_labels(path, CLASSES)


def test_many_small_members_are_stopped_at_their_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_miner.labels.members.MOST_BYTES", 20 * len(LINE))
    files: dict[str, str | bytes] = {f"labels/{n}.txt": LINE for n in range(21)}
    with pytest.raises(DataMinerError, match="larger than any label file"):
        read_labels(folder_of(tmp_path, files), CLASSES)
    (tmp_path / "labels" / "20.txt").unlink()
    assert len(read_labels(tmp_path, CLASSES).images) == 20


def test_a_path_that_is_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataMinerError, match="no such folder or zip"):
        read_labels(tmp_path / "none", CLASSES)
