"""Several detectors, one picture: who agrees, and which box stands for the object. Numbers in, numbers out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from data_miner.records import Box

# Scores of different detectors are not comparable: each has the floor its authors or users found to work.
FLOORS = {"grounding-dino": 0.35, "mm-grounding-dino": 0.35, "sam3": 0.5, "omdet": 0.3}
DEFAULT_FLOOR = 0.25  # Ultralytics' own default of `conf`

CROSS_IOU, _NEVER = 0.5, 2.0  # from which boxes of two classes are one object

_Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """What one detector found in the picture; labels are the project's classes."""

    model: str
    floor: float  # boxes below it do not exist for the vote
    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True)
class Voted:
    """A box that stands for an object, and how many detectors see that object."""

    box: Box
    agreement: int  # different models, at least 1
    model: str  # whose box it is


def floor_of(kind: str) -> float:
    """Score from which a box of this kind of model counts. kind: a key of roles.KINDS."""
    return FLOORS.get(kind, DEFAULT_FLOOR)


def vote(
    found: Sequence[Found],
    *,
    iou: float = 0.7,
    cross_iou: float = CROSS_IOU,
    may_overlap: Collection[frozenset[str]] = (),
    most_per_class: int = 30,
) -> list[Voted]:
    """One box per object, best first: most agreed on, then by the models' priority, then by score.

    found: in order of priority. iou: boxes of one class that overlap so much are one object. cross_iou: boxes of
    two classes that overlap so much are one object too, unless their pair is in `may_overlap`. Agreement is
    counted before anything is merged. The order of the boxes within a model does not matter.
    """
    seen = [(rank, one.model, box) for rank, one in enumerate(found) for box in one.boxes if box.score >= one.floor]
    kept: list[tuple[int, int, Box]] = []
    for label in sorted({box.label for _, _, box in seen}):
        of_class = [entry for entry in seen if entry[2].label == label]
        kept.extend(_one_class(of_class, iou)[:most_per_class])
    ranked = sorted(kept, key=_rank)
    apart = _apart(ranked, cross_iou, {frozenset(pair) for pair in may_overlap})
    return [Voted(box, agreement, found[rank].model) for agreement, rank, box in apart]


def standing(
    found: Sequence[Found],
    labels: Mapping[str, str],
    *,
    iou: float,
    most_per_class: int,
    may_overlap: Iterable[Iterable[str]] = (),
) -> list[Box]:
    """The boxes that stand of what detectors saw in one picture: of the project's classes, best first.

    found: boxes with the word that was asked as `prompt`, from any score. labels: word -> class. One detector alone
    has no floor but the project's `conf`, and its classes do not compete.
    """
    is_alone = len(found) == 1
    voters = [
        Found(
            one.model,
            0.0 if is_alone else one.floor,
            [replace(box, label=labels[box.prompt.lower()]) for box in one.boxes],
        )
        for one in found
    ]
    voted = vote(
        voters,
        iou=iou,
        cross_iou=_NEVER if is_alone else CROSS_IOU,
        may_overlap={frozenset(pair) for pair in may_overlap},
        most_per_class=most_per_class,
    )
    return [replace(one.box, agreement=one.agreement, model=PurePath(one.model).name) for one in voted]


def _one_class(seen: Sequence[tuple[int, str, Box]], iou: float) -> list[tuple[int, int, Box]]:
    """(agreement, model's rank, box) of the boxes of one class that stand for an object, best first."""
    overlaps = iou_matrix([box for _, _, box in seen]) >= iou
    np.fill_diagonal(overlaps, True)  # a box without area still has its own model's voice
    models = sorted({model for _, model, _ in seen})
    whose = np.array([[model == one for one in models] for _, model, _ in seen])
    agreements = (overlaps.astype(np.int64) @ whose > 0).sum(axis=1)
    ranked = sorted(
        ((int(agreements[i]), rank, box, i) for i, (rank, _, box) in enumerate(seen)),
        key=lambda entry: _rank(entry[:3]),
    )
    standing: list[tuple[int, int, Box]] = []
    gone = np.zeros(len(seen), bool)
    for agreement, rank, box, i in ranked:
        if not gone[i]:
            standing.append((agreement, rank, box))
            gone |= overlaps[i]
    return standing


def _apart(
    ranked: Sequence[tuple[int, int, Box]], cross_iou: float, may_overlap: set[frozenset[str]]
) -> list[tuple[int, int, Box]]:
    """Without the boxes that a better box of a class that may not overlap theirs covers."""
    overlaps = iou_matrix([box for _, _, box in ranked]) >= cross_iou
    standing: list[int] = []
    for i, (_, _, box) in enumerate(ranked):
        rivals = (ranked[j][2].label for j in standing if overlaps[i, j])
        if all(label == box.label or frozenset((label, box.label)) in may_overlap for label in rivals):
            standing.append(i)
    return [ranked[i] for i in standing]


def _rank(entry: tuple[int, int, Box]) -> tuple[int, int, float, tuple[float, ...], str, str]:
    agreement, rank, box = entry
    return -agreement, rank, -box.score, box.xyxy, box.label, box.prompt


def iou_matrix(boxes: Sequence[Box]) -> _Matrix:
    """(N, N) intersection over union of every pair; 0 where the union has no area."""
    xyxy = np.array([box.xyxy for box in boxes], np.float64).reshape(-1, 4)
    low = np.maximum(xyxy[:, None, :2], xyxy[None, :, :2])
    high = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None).prod(axis=1)
    union = areas[:, None] + areas[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float64)
