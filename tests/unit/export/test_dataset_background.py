"""The share of pictures without a box: how many, which, and that a larger share only adds."""

import random

import pytest

from data_miner.export.dataset import with_background
from data_miner.records import ExportImage
from tests.support.datasets import image_of


def pictures(boxed: int, bare: int) -> list[ExportImage]:
    """Pictures with a box, then pictures without."""
    return [image_of(1, 5 * i) for i in range(boxed)] + [image_of(2, i, ()) for i in range(bare)]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 0), (0.05, 1), (0.2, 5), (0.5, 20), (0.9, 100)],
    ids=["0", ".05", ".2", ".5", ".9"],
)
def test_background_is_that_share_of_all_pictures_at_most(share: float, expected: int) -> None:
    chosen = with_background(pictures(20, 100), share)
    bare = sum(not image.boxes for image in chosen)
    assert bare == expected and len(chosen) - bare == 20
    assert share == 0 or bare / len(chosen) <= share + 1e-9


def test_the_choice_depends_on_names_alone_and_a_larger_share_only_adds() -> None:
    every = pictures(20, 100)
    shuffled = random.Random(7).sample(every, len(every))
    few, same, more = (
        {image.name for image in with_background(order, share) if not image.boxes}
        for order, share in ((every, 0.2), (shuffled, 0.2), (every, 0.4))
    )
    assert few == same and few < more


def test_without_boxes_there_is_no_background() -> None:
    assert with_background(pictures(0, 10), 0.5) == []
