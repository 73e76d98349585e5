"""What a person changed: the boxes of an import against those the next dataset version would hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_miner.labels.base import ShareBox

Fits = Callable[[ShareBox, ShareBox], bool]
TOLERANCE_PX = 0.5  # six decimals of a share are .001 px, COCO's two decimals .01; nobody corrects by half a pixel
MOVED_FROM_IOU = 0.1  # a box of the same class that overlaps less is another one


@dataclass(frozen=True, slots=True)
class Difference:
    """How many boxes of one picture, or of many, a person drew, moved, took away and gave another class."""

    new: int = 0
    moved: int = 0
    removed: int = 0
    renamed: int = 0

    def __add__(self, other: "Difference") -> "Difference":
        pairs = zip(self.counts, other.counts, strict=True)
        return Difference(*(one + two for one, two in pairs))

    def __bool__(self) -> bool:
        return any(self.counts)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """New, moved, removed, renamed."""
        return self.new, self.moved, self.removed, self.renamed


def compare(before: Sequence[ShareBox], after: Sequence[ShareBox], width: int, height: int) -> Difference:
    """Tell what changed on a picture of `width` × `height` px; nothing when all boxes lie within TOLERANCE_PX."""
    old, new = list(before), list(after)
    _paired(old, new, lambda one, two: one.label == two.label and _is_same_place(one, two, width, height))
    renamed = _paired(old, new, lambda one, two: _is_same_place(one, two, width, height))
    moved = _paired_by_overlap(old, new)
    return Difference(len(new), moved, len(old), renamed)


def _paired(old: list[ShareBox], new: list[ShareBox], fits: Fits) -> int:
    """Take pairs that fit out of both lists; returns how many."""
    taken = 0
    for box in list(new):
        match = next((one for one in old if fits(one, box)), None)
        if match is not None:
            old.remove(match)
            new.remove(box)
            taken += 1
    return taken


def _paired_by_overlap(old: list[ShareBox], new: list[ShareBox]) -> int:
    """The same for boxes of one class that overlap, the best pairs first."""
    pairs = [(iou(one, two), one, two) for one in old for two in new if one.label == two.label]
    taken = 0
    for overlap, one, two in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap >= MOVED_FROM_IOU and one in old and two in new:
            old.remove(one)
            new.remove(two)
            taken += 1
    return taken


def iou(one: ShareBox, two: ShareBox) -> float:
    """Intersection over union, 0 to 1."""
    width, height = min(one.x2, two.x2) - max(one.x1, two.x1), min(one.y2, two.y2) - max(one.y1, two.y1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = ((box.x2 - box.x1) * (box.y2 - box.y1) for box in (one, two))
    return shared / (sum(areas) - shared)


def _is_same_place(one: ShareBox, two: ShareBox, width: int, height: int) -> bool:
    across = max(abs(one.x1 - two.x1), abs(one.x2 - two.x2)) * width
    down = max(abs(one.y1 - two.y1), abs(one.y2 - two.y2)) * height
    return max(across, down) <= TOLERANCE_PX
