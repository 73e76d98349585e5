"""Numbered versions of a dataset: v1, v2, … and `latest`. Written whole or not at all, then never changed."""

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.errors import UsageError
from data_miner.export import coco, manifest, yolo
from data_miner.export.base import SPLITS, Dataset, Writer, clipped, content_hash, dataset_of
from data_miner.records import ExportImage

FORMATS: Mapping[str, Writer] = {"yolo": yolo.write, "coco": coco.write}
ReadJpeg = Callable[[ExportImage], bytes]
Beside = Callable[[Path, str], object]  # folder, name of the version

VERSION = re.compile(r"v([1-9]\d*)")
UNFINISHED = ".writing"  # one name is enough: the folder is locked while it is there


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """What a version holds, as its version.json says."""

    path: Path
    content: str  # hash, see export.base.content_hash
    images: int
    background: int  # images without a box
    train: int
    val: int
    boxes: int
    boxes_by_class: Mapping[str, int]
    added: int = 0  # images that the version before does not have
    removed: int = 0
    is_new: bool = False  # written by this call


def write_version(
    folder: Path,
    images: Iterable[ExportImage],
    classes: Sequence[str],
    formats: Sequence[str],
    read_jpeg: ReadJpeg,
    beside: Beside | None = None,
) -> VersionSummary:
    """Write the next version below `folder` (datasets/<project>) and move `latest`, unless nothing changed.

    `beside` adds files of its own to a version in the making. Unchanged pictures are hard links to the version
    before. May be killed at any moment and called again: a version is there whole or not at all. Two callers wait
    for each other.
    """
    images = list(images)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        newest = _newest(folder)
        content = content_hash(images, classes, formats)
        if newest and (summary := read_version(newest)) and summary.content == content:
            _point_latest(folder, newest)
            return summary
        target = folder / f"v{number_of(newest) + 1 if newest else 1}"
        dataset = dataset_of(images, classes)
        _write_whole(target, folder / UNFINISHED, dataset, formats, content, _Pictures(read_jpeg, newest), beside)
        _point_latest(folder, target)
    summary = _summary(target, dataset, content)
    return _compared(summary, dataset, newest)


def write_copy(
    target: Path,
    images: Iterable[ExportImage],
    classes: Sequence[str],
    formats: Sequence[str],
    read_jpeg: ReadJpeg,
) -> VersionSummary:
    """Write a dataset to `target`, a new or empty folder, whole or not at all; unnumbered. UsageError."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: already there and not an empty folder; name a new one")
    images = list(images)
    dataset, content = dataset_of(images, classes), content_hash(images, classes, formats)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f".{target.name}{UNFINISHED}"
    _write_whole(target, unfinished, dataset, formats, content, _Pictures(read_jpeg, None))
    return _summary(target, dataset, content)


def latest_version(folder: Path) -> VersionSummary | None:
    """The newest version below `folder`, None before the first. Reads one small file."""
    newest = _newest(folder)
    return read_version(newest) if newest else None


def read_version(path: Path) -> VersionSummary | None:
    """What version.json of a version says; None when it is not there or not ours."""
    try:
        values: dict[str, Any] = json.loads((path / "version.json").read_text(encoding="utf-8"))
        return VersionSummary(path=path, **values)
    except (OSError, ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Where the JPEGs come from."""

    read: ReadJpeg
    previous: Path | None

    def put(self, image: ExportImage, path: Path) -> None:
        """Write one JPEG, or link it to the version before when the bytes are the same."""
        jpeg = self.read(image)
        old = self.previous / "images" / image.split / image.name if self.previous else None
        if old and old.is_file() and old.stat().st_size == len(jpeg) and old.read_bytes() == jpeg:
            with contextlib.suppress(OSError):  # too many links, or a disk without them
                path.hardlink_to(old)
                return
        path.write_bytes(jpeg)


def _write_whole(
    target: Path,
    unfinished: Path,
    dataset: Dataset,
    formats: Sequence[str],
    content: str,
    pictures: _Pictures,
    beside: Beside | None = None,
) -> None:
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a killed process
    try:
        for split in SPLITS:
            (unfinished / "images" / split).mkdir(parents=True)
        for image in dataset.images:
            pictures.put(image, unfinished / "images" / image.split / image.name)
        for name in formats:
            FORMATS[name](unfinished, dataset)
        manifest.write(unfinished, dataset)
        _write_summary(unfinished, _summary(target, dataset, content))
        if beside is not None:
            beside(unfinished, target.name)
        _sync_tree(unfinished)
        unfinished.rename(target)
        synced(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _summary(path: Path, dataset: Dataset, content: str) -> VersionSummary:
    found = [clipped(image) for image in dataset.images]
    by_class = Counter(box.label for boxes in found for box in boxes)
    return VersionSummary(
        path=path,
        content=content,
        images=len(found),
        background=sum(not boxes for boxes in found),
        train=len(dataset.of("train")),
        val=len(dataset.of("val")),
        boxes=by_class.total(),
        boxes_by_class={name: by_class[name] for name in dataset.classes},
    )


def _write_summary(folder: Path, summary: VersionSummary) -> None:
    names = ["content", "images", "background", "train", "val", "boxes", "boxes_by_class"]
    text = json.dumps({name: getattr(summary, name) for name in names}, indent=2, ensure_ascii=False)
    (folder / "version.json").write_text(f"{text}\n", encoding="utf-8")


def _compared(summary: VersionSummary, dataset: Dataset, previous: Path | None) -> VersionSummary:
    before = (
        {path.name for split in SPLITS for path in (previous / "images" / split).glob("*.jpg")} if previous else set()
    )
    now = {image.name for image in dataset.images}
    values = {name: getattr(summary, name) for name in summary.__slots__}
    return VersionSummary(**values | {"added": len(now - before), "removed": len(before - now), "is_new": True})


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder itself; the system lets go when the process dies, and no lock file stays behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _newest(folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    versions = [path for path in folder.iterdir() if VERSION.fullmatch(path.name) and path.is_dir()]
    return max(versions, key=number_of, default=None)


def number_of(path: Path) -> int:
    return int(path.name[1:])


def _point_latest(folder: Path, target: Path) -> None:
    latest, new = folder / "latest", folder / ".latest"
    if latest.is_symlink() and latest.readlink() == Path(target.name):
        return
    new.unlink(missing_ok=True)
    new.symlink_to(target.name)
    new.replace(latest)
    synced(folder)


def _sync_tree(folder: Path) -> None:
    """Everything to disk before the name appears; after all is written, so that it goes in one sweep."""
    for parent, _, names in os.walk(folder):
        for name in names:
            synced(Path(parent) / name)
        synced(Path(parent))


def synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
