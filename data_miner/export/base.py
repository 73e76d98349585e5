"""What every format writer takes and gives, and the boxes as all of them write them."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Protocol

from data_miner.errors import DataMinerError
from data_miner.records import Box, ExportImage

SPLITS = ("train", "val")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.jpg")
LAYOUT = 1  # raise when a writer changes what it writes: the same images then make a new version


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images ordered by name and the classes in the order of their ids."""

    images: tuple[ExportImage, ...]
    classes: tuple[str, ...]

    def of(self, split: str) -> list[ExportImage]:
        """Images of one side."""
        return [image for image in self.images if image.split == split]


class Writer(Protocol):
    """Writes the labels of a dataset below `folder`; the images are there as images/<split>/<name>."""

    def __call__(self, folder: Path, dataset: Dataset) -> None: ...


def dataset_of(images: Iterable[ExportImage], classes: Sequence[str]) -> Dataset:
    """Order the images and check what every writer relies on. DataMinerError."""
    ordered = tuple(sorted(images, key=lambda image: image.name))
    for one, other in itertools.pairwise(ordered):
        if one.name == other.name:
            raise DataMinerError(f"{one.name}: two images of this name; names come from export.names.image_name")
    for image in ordered:
        if not _NAME.fullmatch(image.name):
            raise DataMinerError(f"{image.name!r}: no safe file name; names come from export.names.image_name")
        if image.split not in SPLITS:
            raise DataMinerError(f"{image.name}: split {image.split!r} is neither train nor val")
        for box in image.boxes:
            if box.label not in classes:
                raise DataMinerError(f"{image.name}: a box of class {box.label!r}, which the project does not have")
    return Dataset(ordered, tuple(classes))


def clipped(image: ExportImage) -> list[Box]:
    """Boxes cut at the edges of the picture, best first; one that has no area left is left out."""
    boxes = []
    for box in image.boxes:
        x1, y1, x2, y2 = box.xyxy
        x1, x2 = max(0.0, x1), min(float(image.width), x2)
        y1, y2 = max(0.0, y1), min(float(image.height), y2)
        if x2 > x1 and y2 > y1:
            boxes.append(replace(box, xyxy=(x1, y1, x2, y2)))
    return sorted(boxes, key=lambda box: (-box.score, box.label, box.xyxy))


def content_hash(images: Iterable[ExportImage], classes: Sequence[str], formats: Sequence[str]) -> str:
    """32 hex digits over what a version holds; equal means that a new one would say nothing new.

    Where a JPEG lies does not count (a retried job writes it elsewhere), nor does the configuration's hash: a
    threshold that moved no image makes no version. The picture counts by its measures and its size in bytes.
    """
    digest = hashlib.sha256(json.dumps([LAYOUT, list(classes), sorted(formats)]).encode())
    for image in sorted(images, key=lambda image: image.name):
        boxes = [(box.label, box.score, box.xyxy) for box in clipped(image)]
        score = image.score and (image.score.positive, image.score.negative, image.score.junk)
        models = sorted((role, model_name(name)) for role, name in image.models.items())
        picture = (image.width, image.height, image.size_bytes, image.sharpness, image.brightness)
        labels = (image.split, image.labelled_by, boxes, score, models)
        digest.update(json.dumps([image.name, picture, labels]).encode())
    return digest.hexdigest()[:32]


def model_name(name: str) -> str:
    """`name@digest`, or several with ` + ` between, as it may leave this machine: of a path only the last part."""
    return " + ".join(PurePath(one).name if one.startswith("/") else one for one in name.split(" + "))
