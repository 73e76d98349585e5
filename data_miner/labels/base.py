"""What a reader of labels gives: names as they were found, boxes as shares of the picture, and what was assumed."""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_miner.errors import DataMinerError

SLACK = 1e-3  # a share may lie this far outside 0 to 1: tools round, and some let a box touch the edge


@dataclass(frozen=True, slots=True)
class ShareBox:
    """A box as shares of the picture's width and height, each 0 to 1; it fits a picture of any size."""

    label: str  # a class of the project
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One picture that a person looked at. Without a box it shows nothing."""

    name: str  # of the image as the tool calls it: prefixes and suffixes of its own, maybe no extension
    boxes: tuple[ShareBox, ...]
    place: str  # file it came from, for messages
    has_file: bool = True  # False: the picture is there and no label file is


@dataclass(frozen=True, slots=True)
class Labels:
    """All that an import brings."""

    images: Sequence[LabelledImage]
    notes: Sequence[str]  # what had to be assumed, one line each


class Classes:
    """The project's classes, and how other tools may spell them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._plain = {_plain(name): name for name in reversed(names)}

    def meant(self, name: str, place: str) -> str:
        """The project's class that a tool calls `name`, whatever it did to case, spaces and dashes. DataMinerError."""
        if name in self.names:
            return name
        if _plain(name) in self._plain:
            return self._plain[_plain(name)]
        near = difflib.get_close_matches(name, self.names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {_some(self.names)}"
        raise DataMinerError(f"{place}: class {short(name)!r} is none of the project's; {hint}")


def share_box(label: str, x: float, y: float, width: float, height: float, place: str) -> ShareBox:
    """Make a box from its left upper corner and size in shares, cut at the picture's edges. DataMinerError."""
    if not all(map(math.isfinite, (x, y, width, height))):
        raise DataMinerError(f"{place}: a number that is none (NaN or infinite)")
    x1, x2 = (min(1.0, max(0.0, value)) for value in (x, x + width))
    y1, y2 = (min(1.0, max(0.0, value)) for value in (y, y + height))
    if not (x2 > x1 and y2 > y1):
        raise DataMinerError(f"{place}: a box without an area inside the picture")
    return ShareBox(label, x1, y1, x2, y2)


def short(text: str, limit: int = 60) -> str:
    """Text from a file as it may stand in one line of a message."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:10]) + (" …" if len(shown) > 10 else "") if shown else "none"
