"""COCO's instances files, one a split: https://cocodataset.org/#format-data."""

import json
from pathlib import Path
from typing import Any

from data_miner.export.base import SPLITS, Dataset, clipped
from data_miner.records import ExportImage


def write(folder: Path, dataset: Dataset) -> None:
    """Write annotations/instances_<split>.json; file names are relative to images/<split>/.

    Category ids begin with 1, as COCO's own do (0 is background to many trainers); image ids run over both
    splits, so that the two files can be merged.
    """
    (folder / "annotations").mkdir()
    numbers = {image.name: number for number, image in enumerate(dataset.images, 1)}
    for split in SPLITS:
        text = json.dumps(_instances(dataset, split, numbers), ensure_ascii=True, separators=(",", ":"))
        (folder / "annotations" / f"instances_{split}.json").write_text(f"{text}\n", encoding="ascii")


def _instances(dataset: Dataset, split: str, numbers: dict[str, int]) -> dict[str, Any]:
    images = dataset.of(split)
    categories = {name: number for number, name in enumerate(dataset.classes, 1)}
    names = sorted({image.video.license for image in dataset.images if image.video.license})
    licenses = {name: number for number, name in enumerate(names, 1)}
    annotations = [entry for image in images for entry in _annotations(image, numbers[image.name], categories)]
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    return {
        "info": {"description": f"{split} split"},
        "licenses": [{"id": number, "name": name, "url": ""} for name, number in licenses.items()],
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()],
        "images": [_image(image, numbers[image.name], licenses) for image in images],
        "annotations": annotations,
    }


def _image(image: ExportImage, number: int, licenses: dict[str, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": number,
        "file_name": image.name,
        "width": image.width,
        "height": image.height,
    }
    if image.video.license:
        entry["license"] = licenses[image.video.license]
    return entry


def _annotations(image: ExportImage, number: int, categories: dict[str, int]) -> list[dict[str, Any]]:
    entries = []
    for box in clipped(image):
        x1, y1, x2, y2 = (round(value, 2) for value in box.xyxy)
        width, height = round(x2 - x1, 2), round(y2 - y1, 2)
        place = {
            "bbox": [x1, y1, width, height],
            "area": round(width * height, 2),
            "segmentation": [],
            "iscrowd": 0,
        }
        entries.append({"id": 0, "image_id": number, "category_id": categories[box.label], **place})
    return entries
