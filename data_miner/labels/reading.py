"""Which format a folder or a zip is in, and its labels."""

from collections.abc import Sequence
from pathlib import Path

from data_miner.errors import DataMinerError
from data_miner.labels import coco, yolo
from data_miner.labels.base import Classes, Labels
from data_miner.labels.members import Members, members_of

FORMATS = ("yolo", "coco")


def read_labels(path: Path, classes: Sequence[str], wanted: str | None = None) -> Labels:
    """Read the labels below `path`, a folder or a zip, in the project's classes. DataMinerError in one line.

    `wanted` is a format of FORMATS; None: what is there, YOLO where both are.
    """
    with members_of(path) as members:
        texts, jsons = yolo.label_files(members), coco.json_files(members)
        chosen = wanted or ("yolo" if texts else "coco" if jsons else None)
        if chosen is None or not (texts if chosen == "yolo" else jsons):
            raise DataMinerError(f"{path}: {_nothing(members, chosen)}")
        read = yolo.read if chosen == "yolo" else coco.read
        labels = read(members, Classes(classes))
    if wanted is None and texts and jsons:
        note = "COCO files are there too; --format coco reads those instead"
        return Labels(labels.images, [*labels.notes, note])
    return labels


def _nothing(members: Members, chosen: str | None) -> str:
    if members.archives:
        return f"no labels, but an archive in it ({members.archives[0]}); unpack that one and name it"
    return f"no {chosen.upper() if chosen else 'YOLO or COCO'} labels in it"
