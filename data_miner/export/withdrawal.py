"""Videos taken out of dataset versions that are written already: the one thing that changes a version (`forget`).

May be killed at any moment and called again: a version's manifest loses its rows last.
"""

import csv
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.export.base import SPLITS
from data_miner.export.versions import UNFINISHED, VERSION, locked, number_of, synced
from data_miner.sources.names import video_name

_IMAGE = re.compile(r"(?P<video>.+)_(?:\d{9,}|-\d{8,})\.jpg")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What of some videos is, or was, in one version of a dataset."""

    project: str  # the dataset's folder
    version: str  # v3
    images: Mapping[str, str]  # name -> sha256
    boxes: Mapping[str, int]  # by image


def find(datasets: Path, video_ids: Collection[str]) -> list[Withdrawn]:
    """Look for images of these videos in every version of every dataset below `datasets`; changes nothing."""
    names = {video_name(video_id) for video_id in video_ids}
    found = (_found(version, names) for folder in _folders(datasets) for version in _versions(folder))
    return [one for one in found if one is not None]


def withdraw(datasets: Path, video_ids: Collection[str], projects: Collection[str]) -> None:
    """Delete these videos' images, labels and rows from every version, and what a killed export left.

    Pages with pictures go too, where images went and where one of `projects` (those that had a video) may have
    shown a dropped frame. Waits for an export that is under way.
    """
    names = {video_name(video_id) for video_id in video_ids}
    for folder in _folders(datasets):
        with locked(folder):
            shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
            is_shown = folder.name in projects
            for version in _versions(folder):
                is_shown = _cleaned(version, names) or is_shown
            if is_shown:
                for page in [*folder.glob("*.html"), *folder.glob("v*/*.html")]:
                    page.unlink(missing_ok=True)
            synced(folder)


@dataclass(frozen=True, slots=True)
class _Manifest:
    """manifest.csv as it stands, also one that an older version of this code wrote."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, version: Path) -> "_Manifest":
        path = version / "manifest.csv"
        if not path.is_file():
            return cls([], [])
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            return cls(list(reader.fieldnames or ()), list(reader))

    def without(self, names: Collection[str]) -> "_Manifest":
        return _Manifest(self.columns, [row for row in self.rows if not _is_theirs(row["image"], names)])

    @property
    def text(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def _folders(datasets: Path) -> list[Path]:
    if not datasets.is_dir():
        return []
    return sorted(path for path in datasets.iterdir() if path.is_dir() and not path.is_symlink())


def _versions(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if VERSION.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=number_of)


def _found(version: Path, names: Collection[str]) -> Withdrawn | None:
    paths = list(_images(version, names))
    if not paths:
        return None
    own = {path.name for path in paths}
    rows = _Manifest.of(version).rows
    boxes = {row["image"]: int(row["boxes"] or 0) for row in rows if row["image"] in own}
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return Withdrawn(version.parent.name, version.name, hashes, boxes)


def _images(version: Path, names: Collection[str]) -> Iterator[Path]:
    for path in sorted(version.glob("images/*/*.jpg")):
        if _is_theirs(path.name, names):
            yield path


def _is_theirs(image: str, names: Collection[str]) -> bool:
    found = _IMAGE.fullmatch(image)
    return found is not None and found["video"] in names


def _cleaned(version: Path, names: Collection[str]) -> bool:
    """Take the videos out of one version; returns whether anything was there."""
    paths = list(_images(version, names))
    labels = [path for path in version.glob("labels/*/*.txt") if _is_theirs(path.with_suffix(".jpg").name, names)]
    manifest = _Manifest.of(version)
    left = manifest.without(names)
    if not paths and not labels and left == manifest:
        return False
    caches = [*version.glob("labels/*.cache"), *version.glob("labels/*/*.cache")]
    for path in [*paths, *labels, *caches]:  # caches: Ultralytics' own, with the names of all images
        path.unlink(missing_ok=True)
    for split in SPLITS:
        _annotations_without(version / "annotations" / f"instances_{split}.json", names)
    _write_counts(version, left)
    for folder in [*version.glob("images/*"), *version.glob("labels/*"), version]:
        synced(folder)
    if left != manifest:  # last: as long as its rows are there, a killed command knows that there is work
        _replace(version / "manifest.csv", left.text)
        synced(version)
    return True


def _annotations_without(path: Path, names: Collection[str]) -> None:
    """Drop images and their boxes from a COCO file; the ids of the others stay."""
    if not path.is_file():
        return
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    images = [image for image in data["images"] if not _is_theirs(image["file_name"], names)]
    if len(images) == len(data["images"]):
        return
    left = {image["id"] for image in images}
    data["images"] = images
    data["annotations"] = [one for one in data["annotations"] if one["image_id"] in left]
    _replace(path, json.dumps(data, ensure_ascii=True, separators=(",", ":")) + "\n")


def _write_counts(version: Path, left: _Manifest) -> None:
    """Bring version.json to what the remaining rows say; its content hash becomes one over them."""
    path = version / "version.json"
    if not path.is_file():
        return
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    classes = list(values["boxes_by_class"])
    by_class = Counter(label for row in left.rows for label in _labels(row["box_scores"], classes))
    sides = Counter(row["split"] for row in left.rows)
    values |= {
        "content": hashlib.sha256(f"withdrawn\n{left.text}".encode()).hexdigest()[:32],
        "images": len(left.rows),
        "background": sum(row["boxes"] == "0" for row in left.rows),
        "train": sides["train"],
        "val": sides["val"],
        "boxes": sum(int(row["boxes"]) for row in left.rows),
        "boxes_by_class": {name: by_class[name] for name in classes},
    }
    _replace(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _labels(box_scores: str, classes: Iterable[str]) -> Iterator[str]:
    """Classes in `glass_door 0.6200; door handle 0.5000`, as the manifest writes boxes."""
    known = set(classes)
    for entry in box_scores.lstrip("'").split("; "):
        label = entry.rpartition(" ")[0]
        if label in known:
            yield label


def _replace(path: Path, text: str) -> None:
    """Whole or not at all; a name that is a hard link elsewhere stays as it was there."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        synced(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
