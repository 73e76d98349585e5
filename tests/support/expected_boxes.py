"""What a detector must make of a model's raw candidates, written out plainly to check the fast way against."""

from collections.abc import Sequence

import numpy as np

from data_miner.records import Box


def expected_boxes(candidates: Sequence[Box], *, width: int, height: int, floor: float, iou: float) -> list[Box]:
    """Clip, drop what is below the floor or thinner than a pixel, then per class keep what no better box covers."""
    kept: list[Box] = []
    for box in sorted(candidates, key=lambda one: -one.score):
        left, top, right, bottom = (
            min(max(value, 0.0), side) for value, side in zip(box.xyxy, (width, height) * 2, strict=True)
        )
        clipped = Box(box.label, box.score, (left, top, right, bottom), box.prompt)
        big = right - left >= 1 and bottom - top >= 1
        rivals = [other for other in kept if other.label == box.label]
        if box.score >= floor and big and all(overlap(clipped, other) <= iou for other in rivals):
            kept.append(clipped)
    return kept


def assert_same(found: Sequence[Box], expected: Sequence[Box]) -> None:
    """Equal in classes, words and order; in place to a hundredth of a pixel and in score to .0001."""
    assert [(box.label, box.prompt) for box in found] == [(box.label, box.prompt) for box in expected]
    np.testing.assert_allclose([box.score for box in found], [box.score for box in expected], atol=1e-4)
    np.testing.assert_allclose([box.xyxy for box in found], [box.xyxy for box in expected], atol=0.01)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    sides = [min(a, b) for a, b in zip(one.xyxy[2:], other.xyxy[2:], strict=True)]
    starts = [max(a, b) for a, b in zip(one.xyxy[:2], other.xyxy[:2], strict=True)]
    common = max(0.0, sides[0] - starts[0]) * max(0.0, sides[1] - starts[1])
    areas = [(box.xyxy[2] - box.xyxy[0]) * (box.xyxy[3] - box.xyxy[1]) for box in (one, other)]
    return common / (sum(areas) - common)
