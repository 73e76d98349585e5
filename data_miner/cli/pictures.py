"""Frames of the ledger as JPEG files in a folder of a person's choice, whole or not at all."""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.cli import words
from data_miner.errors import DataMinerError, UsageError
from data_miner.export.names import image_name
from data_miner.store.artifacts import Store

_QUALITY = 92  # of pictures that were drawn on; the others are the store's own bytes


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it."""

    folder: Path
    pictures: int
    collected: int  # frames whose pixels are not in the store any more

    def line(self) -> str:
        """`200 JPEGs in /tmp/near`."""
        told = f"{words.number(self.pictures)} JPEG{'' if self.pictures == 1 else 's'} in {words.shown(self.folder)}"
        if not self.collected:
            return told
        verb = "frame is" if self.collected == 1 else "frames are"
        return f"{told}; {words.number(self.collected)} more {verb} known by numbers only: the pixels were collected"


def write_pictures(rows: Iterable[Any], store: Store, folder: Path, classes: Sequence[str] | None) -> Written:
    """Write rows of ledger.browse into a new or existing folder; with `classes`, boxes are drawn in their colours.

    A picture of the same name is replaced. Raises UsageError for what is no folder, DataMinerError when it cannot
    be written to; what is there then is whole.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {words.shown(folder)}: this is a file; name a folder")
    names, collected = set[str](), 0
    with _writing(folder, names):
        folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        name, jpeg = image_name(row.video_id, row.pts_ms), _jpeg(row, store)
        if jpeg is None:
            collected += 1
            continue
        with _writing(folder, names):
            _put(folder / name, jpeg if classes is None else _drawn(jpeg, row.boxes or (), classes))
        names.add(name)
    return Written(folder, len(names), collected)


@contextlib.contextmanager
def _writing(folder: Path, done: Collection[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        there = f"; {words.number(len(done))} JPEGs are there" if done else ""
        raise DataMinerError(f"--out {words.shown(folder)}: cannot be written: {why}{there}") from error


def _jpeg(row: Any, store: Store) -> bytes | None:
    """The stored bytes; None when they were collected."""
    if row.shard is None:
        return None
    try:
        jpeg = store.read(row.shard, row.shard_offset, row.size_bytes)
    except FileNotFoundError:
        return None
    return jpeg if len(jpeg) == row.size_bytes else None


def _put(path: Path, data: bytes) -> None:
    """Write a file under another name first: a full disk leaves no half picture."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _drawn(jpeg: bytes, boxes: Sequence[dict[str, Any]], classes: Sequence[str]) -> bytes:
    from data_miner.media import jpeg as codec
    from data_miner.media.drawing import Mark, draw_boxes

    if not boxes:
        return jpeg
    marks = [
        Mark(
            f"{box['label']} {'human' if box['is_human'] else format(box['score'], '.2f')}",
            (box["xyxy"][0], box["xyxy"][1], box["xyxy"][2], box["xyxy"][3]),
            classes.index(box["label"]) if box["label"] in classes else len(classes),
            box["is_human"],
        )
        for box in boxes
    ]
    return codec.encode(draw_boxes(codec.decode(jpeg), marks), _QUALITY)
