"""How well a detector and a scorer do on drawn pictures, against their truth. No training, no torch."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from data_miner.models.base import Detector, ImageTextScorer
from data_miner.sample.pictures import BOX_SHARES, CAPTION_SHARES, HELD_OUT_SEED, Labelled, pictures
from data_miner.sample.render import DOOR

HELD_OUT_PICTURES, HELD_OUT_CAPTIONS = 300, 700

POSITIVE = ("a glass door in a building", "an automatic sliding glass door")
NEGATIVE = ("a wooden door", "a window", "an empty corridor")
JUNK = ("a title screen with text", "a cartoon")


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two xyxy boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def matches(found: Sequence[Sequence[float]], true: Sequence[Sequence[float]], iou: float = 0.5) -> int:
    """How many found boxes meet a true one of their own; best found first."""
    open_boxes, hits = list(true), 0
    for box in found:
        best = max(open_boxes, key=lambda candidate: overlap(box, candidate), default=None)
        if best is not None and overlap(box, best) >= iou:
            open_boxes.remove(best)
            hits += 1
    return hits


def measure_detector(
    detector: Detector, held_out: Iterable[Labelled] | None = None, conf: float = 0.3
) -> dict[str, float]:
    """Precision and recall at IoU .5 from `conf` up; a box on a door hardly in view counts as wrong."""
    hits = found = true = 0
    for one in held_out if held_out is not None else pictures(HELD_OUT_SEED, HELD_OUT_PICTURES, BOX_SHARES):
        boxes = detector.detect([one.bgr[:, :, ::-1]])[0]
        sure = [box.xyxy for box in boxes if box.score >= conf]
        wanted = one.seen.boxes.get(DOOR, [])
        hits, found, true = hits + matches(sure, wanted), found + len(sure), true + len(wanted)
    return {"precision": hits / max(1, found), "recall": hits / max(1, true), "doors": float(true)}


def passes(scores: np.ndarray[Any, np.dtype[np.float32]]) -> bool:
    """The filter's rule with its default thresholds, for scores of (*POSITIVE, *NEGATIVE, *JUNK)."""
    positive = float(scores[:2].max())
    negative, junk = float(scores[2:5].max()), float(scores[5:].max())
    return positive > 0.3 and negative < 0.3 and positive - negative > 0.1 and junk < 0.3 and positive - junk > 0.1


def measure_scorer(scorer: ImageTextScorer, count: int = HELD_OUT_CAPTIONS) -> dict[str, Any]:
    """How the filter's rule decides on held-out pictures: precision, recall, and wrong ones by subject."""
    shown: list[Labelled] = [
        one for one in pictures(HELD_OUT_SEED + 1, count, CAPTION_SHARES) if one.subject is not None
    ]
    images = scorer.embed_images([one.bgr[:, :, ::-1].copy() for one in shown])
    scores = scorer.scores(images, scorer.embed_texts((*POSITIVE, *NEGATIVE, *JUNK)))
    passed = np.array([passes(row) for row in scores])
    doors = np.array([one.subject == "glass_door" for one in shown])
    wrong = Counter(one.subject for one, taken, door in zip(shown, passed, doors, strict=True) if taken != door)
    return {
        "precision": float((passed & doors).sum() / max(1, passed.sum())),
        "recall": float((passed & doors).sum() / max(1, doors.sum())),
        "pictures": len(shown),
        "wrong": dict(sorted(wrong.items(), key=lambda item: str(item[0]))),
    }
