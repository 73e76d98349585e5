"""Boxes on pictures: where the lines are, and what is left alone."""

import numpy as np
import pytest

from data_miner.media.drawing import Mark, draw_boxes

GREY = np.full((240, 320, 3), 128, np.uint8)


def changed(marks: list[Mark]) -> np.ndarray:  # type: ignore[type-arg]
    """Pixels that drawing changes, as a mask."""
    mask: np.ndarray = (draw_boxes(GREY, marks) != GREY).any(axis=2)  # type: ignore[type-arg]
    return mask


def test_lines_lie_on_the_edges_and_the_given_picture_is_untouched() -> None:
    before = GREY.copy()
    mask = changed([Mark("door 0.71", (50, 60, 200, 180))])
    assert (before == GREY).all()
    assert mask[180, 50:201].all() and mask[60:181, 200].all() and mask[60:181, 50].all()
    assert not mask[64:176, 54:196].any(), "what the box shows stays to be seen"
    assert mask[44:58, 52:100].any(), "its text stands above it"


def test_boxes_of_one_kind_have_one_colour_and_others_another() -> None:
    drawn = draw_boxes(
        GREY, [Mark("", (20, 100, 60, 180), 0), Mark("", (100, 100, 140, 180), 0), Mark("", (200, 100, 240, 180), 1)]
    )
    assert (drawn[180, 40] == drawn[180, 120]).all() and (drawn[180, 40] != drawn[180, 220]).any()


def test_the_best_box_lies_on_top() -> None:
    best, other = Mark("", (50, 60, 200, 180), 0), Mark("", (50, 60, 200, 180), 1)
    assert (draw_boxes(GREY, [best, other])[180, 60:190] == draw_boxes(GREY, [best])[180, 60:190]).all()


def test_a_persons_box_has_a_white_line_too() -> None:
    drawn = draw_boxes(GREY, [Mark("", (50, 60, 200, 180), is_doubled=True)])
    assert (drawn[179, 60:190] == 255).all() and (drawn[180, 60:190] != 255).any()


@pytest.mark.parametrize("xyxy", [(-50.0, -50.0, 1e6, 1e6), (0, 0, 0, 0), (310, 230, 400, 300), (-9.0, 5.0, -1.0, 7.0)])
@pytest.mark.parametrize("text", ["Tür", "стеклянная дверь", "", "x" * 300])
def test_boxes_beyond_the_picture_and_any_text_do_no_harm(xyxy: tuple[float, float, float, float], text: str) -> None:
    assert draw_boxes(GREY, [Mark(text, xyxy, 99)]).shape == GREY.shape


def test_a_tiny_picture_can_be_drawn_on() -> None:
    assert draw_boxes(np.zeros((1, 1, 3), np.uint8), [Mark("a", (0, 0, 1, 1))]).shape == (1, 1, 3)
