"""Ultralytics' layout: data.yaml and one .txt a picture. Only here are boxes shares of the picture."""

from pathlib import Path

import yaml

from data_miner.export.base import SPLITS, Dataset, clipped
from data_miner.records import ExportImage


def write(folder: Path, dataset: Dataset) -> None:
    """Write data.yaml and labels/<split>/<name>.txt; an empty file is a background picture.

    data.yaml has no `path`: Ultralytics then takes the folder of the file, from any working directory.
    """
    ids = {name: number for number, name in enumerate(dataset.classes)}
    for split in SPLITS:
        labels = folder / "labels" / split
        labels.mkdir(parents=True)
        for image in dataset.of(split):
            lines = "".join(f"{line}\n" for line in label_lines(image, ids))
            (labels / image.name).with_suffix(".txt").write_text(lines, encoding="ascii")
    data = {"train": "images/train", "val": "images/val", "names": dict(enumerate(dataset.classes))}
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def label_lines(image: ExportImage, ids: dict[str, int]) -> list[str]:
    """`id x y width height` of every box: centre and size as shares of the picture, six decimals."""
    lines = []
    for box in clipped(image):
        x1, y1, x2, y2 = box.xyxy
        x, y = (x1 + x2) / 2 / image.width, (y1 + y2) / 2 / image.height
        width, height = (x2 - x1) / image.width, (y2 - y1) / image.height
        lines.append(f"{ids[box.label]} {x:.6f} {y:.6f} {width:.6f} {height:.6f}")
    return lines
