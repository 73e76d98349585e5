"""From the ledger to a dataset: which kept frames become images, on which side, with which models' names."""

import errno
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_miner.config.identity import rules_hash
from data_miner.config.project import restore
from data_miner.config.schema import ProjectConfig
from data_miner.errors import DataMinerError
from data_miner.export.names import image_name
from data_miner.export.split import Side, draw_sides
from data_miner.export.versions import Beside, ReadJpeg, VersionSummary, latest_version, write_copy, write_version
from data_miner.ledger import exports, projects
from data_miner.ledger.connection import Ledger
from data_miner.records import Box, ExportImage, FrameScore, VideoInfo
from data_miner.store.artifacts import Store

_TRIES = 3  # with a snapshot of its own each
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def write_dataset(
    ledger: Ledger,
    project: Any,
    store: Store,
    datasets: Path,
    formats: Sequence[str] = (),
    beside: Beside | None = None,
) -> VersionSummary | None:
    """Write the project's next version below `datasets`/<name>, unless nothing changed, and note it.

    None when there is no image and there never was one. May be killed and called again. `beside` adds files of its
    own. Raises DataMinerError when a picture is not in the store, or the disk is full.
    """
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):  # what was forgotten since the snapshot was taken
            return _written(ledger, project, store, datasets, formats, beside)
    try:
        return _written(ledger, project, store, datasets, formats, beside)
    except FileNotFoundError as error:
        raise DataMinerError(f"{project.name}: a picture is missing in the store: {error}") from error


def _written(
    ledger: Ledger, project: Any, store: Store, datasets: Path, formats: Sequence[str], beside: Beside | None
) -> VersionSummary | None:
    folder, taken = datasets / project.name, exports.snapshot(ledger, project.id)
    config, images = _images(ledger, taken)
    if not images and latest_version(folder) is None:
        return None
    formats = formats or config.export.formats
    with _writing(folder):
        summary = write_version(folder, images, list(config.classes), formats, _reader(store), beside)
    version = int(summary.path.name.removeprefix("v"))
    if (taken.project.version, taken.project.content_hash) != (version, summary.content):
        ledger.with_retry(lambda cursor: projects.exported(cursor, project.id, version, summary.content), deadline_s=60)
    return summary


def export_copy(
    ledger: Ledger, project: Any, store: Store, target: Path, formats: Sequence[str] = ()
) -> VersionSummary:
    """Write what is done now to `target`, a new or empty folder; versions stay. UsageError, DataMinerError."""
    config, images = _images(ledger, exports.snapshot(ledger, project.id))
    if not images:
        raise DataMinerError(f"{project.name} has no image yet; data-miner status -p {project.name} says why")
    with _writing(target):
        return write_copy(target, images, list(config.classes), formats or config.export.formats, _reader(store))


def with_background(images: Iterable[ExportImage], share: float) -> list[ExportImage]:
    """All images with a box, those a person calls empty, and of the rest as many as make at most `share` of all.

    A hash chooses them, and the choice is a prefix of one fixed order: a larger share adds images and takes none
    away.
    """
    boxed, bare = list[ExportImage](), list[ExportImage]()
    for image in images:
        (boxed if image.boxes or image.is_empty else bare).append(image)
    wanted = int(len(boxed) * share / (1 - share) + 1e-9)
    bare.sort(key=lambda image: hashlib.sha256(image.name.encode()).digest())
    return boxed + bare[:wanted]


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """A full or read-only disk in one line; what was begun is taken away again."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise DataMinerError(f"{folder}: cannot be written: {(error.strerror or '').lower()}") from error


def _images(ledger: Ledger, taken: exports.Snapshot) -> tuple[ProjectConfig, list[ExportImage]]:
    project = taken.project
    config = restore(project.config, project.name)
    facts = {"config_hash": rules_hash(config), "models": _models(project.plan)}
    found: dict[str, ExportImage] = {}
    for row in taken.frames:
        image = _image(row, taken.boxes.get((row.segment_id, row.pts_ms), ()), facts)
        # Two segments of a slow video may own one picture: the first of them counts.
        found.setdefault(image.name, image)
    images = list(found.values())
    if "detect" in project.plan:  # without a detector nothing is known of boxes, so none is background
        images = with_background(images, config.export.background)
    return config, _on_sides(ledger, project, images, config.export.split.train)


def _image(row: Any, boxes: Sequence[Any], facts: Mapping[str, Any]) -> ExportImage:
    return ExportImage(
        name=image_name(row.video_id, row.pts_ms),
        shard=row.shard or "",
        offset=row.shard_offset,
        size_bytes=row.size_bytes,
        width=row.width,
        height=row.height,
        split="train",  # _on_sides says which
        boxes=tuple(_box(box) for box in boxes),
        labelled_by="human" if row.is_human else "model",
        is_empty=row.is_empty,
        video=_video(row),
        pts_ms=row.pts_ms,
        score=_score(row),
        sharpness=row.sharpness,
        brightness=row.brightness,
        **facts,
    )


def _box(row: Any) -> Box:
    xyxy = (row.x1, row.y1, row.x2, row.y2)
    return Box(row.label, row.score, xyxy, row.prompt, row.agreement, row.model or "", row.is_human)


def _video(row: Any) -> VideoInfo:
    names = "url site title uploader uploader_id channel license upload_date duration_s extra"
    values = {name: getattr(row, name) for name in names.split()}
    return VideoInfo(id=row.video_id, tags=tuple(row.tags), **values)


def _score(row: Any) -> FrameScore | None:
    if row.positive is None:
        return None
    names = "pts_ms positive positive_prompt negative negative_prompt junk junk_prompt"
    return FrameScore(**{name: getattr(row, name) for name in names.split()})


def _on_sides(ledger: Ledger, project: Any, images: list[ExportImage], train: float) -> list[ExportImage]:
    """Put every image on its video's side; sides of new videos are drawn and kept first."""
    shown = {image.video.id for image in images}
    with ledger.transaction() as cursor:
        kept = projects.splits(cursor, project.id)
    known: dict[str, Side] = {video: "train" if kept[video] == "train" else "val" for video in shown & set(kept)}
    drawn = draw_sides(shown, known, project.name, train)
    new = {video: side for video, side in drawn.items() if video not in known}
    if new:
        kept = ledger.with_retry(lambda cursor: exports.keep_sides(cursor, project.id, new), deadline_s=60)
    return [replace(image, split=kept[image.video.id]) for image in images]


def _models(plan: Mapping[str, Any]) -> dict[str, str]:
    """`name@digest` of each stage's model."""
    stages = {"filter": "filter", "dedup": "embed", "detect": "detect"}
    runtimes = {role: plan.get(stage, {}).get("runtime") or {} for role, stage in stages.items()}
    return {role: named for role, runtime in runtimes.items() if (named := _named(runtime))}


def _named(runtime: Mapping[str, Any]) -> str:
    """`name@digest`; of several that vote all, the most trusted first."""
    if "members" in runtime:
        return " + ".join(_named(member) for member in runtime["members"])
    if not runtime.get("digest"):
        return ""
    name, digest = str(runtime["model"]), str(runtime["digest"])
    # A digest from the Hugging Face cache is repo@revision and says the name already.
    return digest if digest.startswith(f"{name}@") else f"{name}@{digest}"


def _reader(store: Store) -> ReadJpeg:
    return lambda image: store.read(image.shard, image.offset, image.size_bytes)
