"""What a person changed, told apart from what rounding did."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from data_miner.labels.base import ShareBox
from data_miner.labels.comparing import Difference, compare, iou

WIDTH, HEIGHT = 1280, 720
DOOR = ShareBox("door", 0.2, 0.2, 0.6, 0.8)
_EDGES = st.tuples(st.integers(0, WIDTH - 9), st.integers(8, WIDTH), st.integers(0, HEIGHT - 9), st.integers(8, HEIGHT))


def in_pixels(label: str, x1: float, y1: float, x2: float, y2: float) -> ShareBox:
    """A box by its pixels."""
    return ShareBox(label, x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), _EDGES), max_size=8), st.randoms(use_true_random=False))
def test_boxes_written_with_six_decimals_in_any_order_are_as_they_were(
    drawn: list[tuple[str, tuple[int, int, int, int]]], chance: random.Random
) -> None:
    boxes = [in_pixels(label, x, y, x + w, y + h) for label, (x, w, y, h) in drawn]
    written = []
    for box in boxes:
        x, y, width, height = (
            round(value, 6)
            for value in ((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, box.x2 - box.x1, box.y2 - box.y1)
        )
        written.append(ShareBox(box.label, x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    chance.shuffle(written)
    assert not compare(boxes, written, WIDTH, HEIGHT)


def test_each_kind_of_change_is_counted() -> None:
    nudged = ShareBox("door", 0.21, 0.2, 0.6, 0.8)
    handle = ShareBox("handle", 0.5, 0.5, 0.52, 0.55)
    far = ShareBox("door", 0.9, 0.9, 0.99, 0.99)
    assert compare([DOOR], [nudged], WIDTH, HEIGHT) == Difference(moved=1)
    assert compare([DOOR], [DOOR, handle], WIDTH, HEIGHT) == Difference(new=1)
    assert compare([DOOR, handle], [DOOR], WIDTH, HEIGHT) == Difference(removed=1)
    assert compare([DOOR], [far], WIDTH, HEIGHT) == Difference(new=1, removed=1)
    assert compare([DOOR], [ShareBox("handle", 0.2, 0.2, 0.6, 0.8)], WIDTH, HEIGHT) == Difference(renamed=1)
    assert compare([], [], WIDTH, HEIGHT) == Difference()


def test_differences_add_up() -> None:
    assert sum([Difference(1, 2, 3, 4), Difference(0, 1, 0, 0)], Difference()) == Difference(1, 3, 3, 4)


def test_half_a_pixel_is_the_border() -> None:
    box = in_pixels("door", 100, 100, 300, 300)
    for dx, dy in itertools.product((-0.4, 0, 0.4), repeat=2):
        assert not compare([box], [in_pixels("door", 100 + dx, 100 + dy, 300, 300)], WIDTH, HEIGHT)
    assert compare([box], [in_pixels("door", 100.6, 100, 300, 300)], WIDTH, HEIGHT)


def test_overlap_is_shared_area_over_all_area() -> None:
    half = ShareBox("door", 0.2, 0.2, 0.4, 0.8)
    assert abs(iou(DOOR, half) - 0.5) < 1e-12 and iou(DOOR, DOOR) == 1.0
    assert iou(DOOR, ShareBox("door", 0.6, 0.2, 0.9, 0.8)) == 0.0
