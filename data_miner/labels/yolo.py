"""YOLO labels: a .txt a picture, `class x y width height` as shares of it, and a file that names the classes.

Layouts: Ultralytics (labels/**, data.yaml), CVAT's YOLO 1.1 (obj_train_data/**, obj.names) and Ultralytics exports,
Label Studio (labels/, classes.txt), Roboflow (<split>/labels, data.yaml), and a bare folder of .txt files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from data_miner.errors import DataMinerError
from data_miner.labels.base import SLACK, Classes, LabelledImage, Labels, ShareBox, share_box, short
from data_miner.labels.members import Members
from data_miner.labels.names import IMAGE_EXTENSIONS, stem_of

_NAMES_BYTES = 1_000_000
_NO_LABELS = re.compile(
    r"(?:classes|labels|labelmap|train|val|valid|test|readme.*|license.*|notes|requirements)\.txt", re.I
)
_LABEL_FOLDER = re.compile(r"labels|obj_\w+_data", re.IGNORECASE)
_IMAGES = tuple(f".{extension}" for extension in IMAGE_EXTENSIONS)


def label_files(members: Members) -> list[str]:
    """The .txt files that are labels: those of label folders when there is one, else all but well-known others."""
    texts = [name for name in members.names if name.lower().endswith(".txt")]
    in_folders = [name for name in texts if any(_LABEL_FOLDER.fullmatch(part) for part in _parts(name)[:-1])]
    return in_folders or [name for name in texts if not _NO_LABELS.fullmatch(_parts(name)[-1])]


def read(members: Members, classes: Classes) -> Labels:
    """Read every label file. DataMinerError names file and line of the first that does not hold."""
    notes: list[str] = []
    names = _class_names(members)
    if names is None:
        names = dict(enumerate(classes.names))
        notes.append(
            "no file names the classes (data.yaml, obj.names, classes.txt): ids are taken in the project's order"
        )
    by_stem: dict[str, LabelledImage] = {}
    for place in label_files(members):
        stem = stem_of(place)
        if stem in by_stem:
            raise DataMinerError(f"{short(place)} and {short(by_stem[stem].place)} label the same picture; remove one")
        by_stem[stem] = LabelledImage(stem, _boxes(members, place, names, classes), place)
    bare = [image for image in _pictures(members) if image.name not in by_stem] if by_stem else []
    if bare:
        notes.append(f"{len(bare):,} of the images there have no label file: taken as showing nothing")
    return Labels([*by_stem.values(), *bare], notes)


def _pictures(members: Members) -> Iterator[LabelledImage]:
    """Pictures that the dataset holds, each once by its stem."""
    found = {stem_of(name): name for name in reversed(members.names) if name.lower().endswith(_IMAGES)}
    return (LabelledImage(stem, (), place, has_file=False) for stem, place in sorted(found.items()))


def _boxes(members: Members, place: str, names: Mapping[int, str], classes: Classes) -> tuple[ShareBox, ...]:
    found: dict[str, ShareBox] = {}
    for number, line in enumerate(members.text(place).splitlines(), 1):
        if line not in found and line.strip():  # a zip of one line a million times costs next to nothing to read
            found[line] = _box(line.split(), names, classes, f"{short(place)} line {number}")
    return tuple(dict.fromkeys(found.values()))  # a line that is there twice is one box


def _box(words: Sequence[str], names: Mapping[int, str], classes: Classes, place: str) -> ShareBox:
    if len(words) != 5:
        raise DataMinerError(f"{place}: {_columns(words)}; a box has five: class x y width height")
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise DataMinerError(f"{place}: {short(' '.join(words))!r} are not five numbers") from None
    if not all(-SLACK <= value <= 1 + SLACK for value in values[1:]):  # also what is no number at all
        raise DataMinerError(f"{place}: {short(' '.join(words[1:]))}: x y width height should be shares within 0 to 1")
    number, (x, y, width, height) = values[0], values[1:]
    if number not in names:
        known = f"0 to {max(names)}" if names else "none"
        raise DataMinerError(f"{place}: class {short(words[0])} has no name; named are {known}")
    label = classes.meant(names[int(number)], place)
    return share_box(label, x - width / 2, y - height / 2, width, height, place)


def _columns(words: Sequence[str]) -> str:
    if len(words) == 6:
        return "six columns, the last a confidence or a track? Export without it"
    if len(words) > 6:
        return f"{len(words)} columns, a segmentation or keypoints? Export boxes (detection)"
    return f"{len(words)} column{'s' if len(words) > 1 else ''}"


def _class_names(members: Members) -> dict[int, str] | None:
    """Names by id, of whichever file has them; DataMinerError when two disagree."""
    found: dict[str, dict[int, str]] = {}
    for place in members.names:
        last = _parts(place)[-1].lower()
        if last.endswith((".yaml", ".yml")):
            names = _of_yaml(members, place)
        elif last.endswith(".names") or last in ("classes.txt", "labels.txt", "labelmap.txt"):
            lines = members.text(place, _NAMES_BYTES).splitlines()
            names = dict(enumerate(line.strip() for line in lines if line.strip()))
        else:
            continue
        if names:
            found[place] = names
    for place, names in found.items():
        first = next(iter(found))
        if names != found[first]:
            raise DataMinerError(f"{short(first)} and {short(place)} name the classes differently; remove one")
    return next(iter(found.values()), None)


def _of_yaml(members: Members, place: str) -> dict[int, str]:
    try:
        data: Any = yaml.safe_load(members.text(place, _NAMES_BYTES))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataMinerError(f"{short(place)}: no YAML ({short(str(error))})") from error
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if names is None:
        return {}
    if not isinstance(names, dict) or not all(_is_entry(key, name) for key, name in names.items()):
        raise DataMinerError(f"{short(place)}: names should be a list, or a mapping of numbers to names")
    return {key: str(name).strip() for key, name in names.items()}


def _is_entry(key: Any, name: Any) -> bool:
    """A number with a plain name. What YAML's aliases nest a thousandfold is never turned into text."""
    return isinstance(key, int) and isinstance(name, str | int | float)


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name).parts
