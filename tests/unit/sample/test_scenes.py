"""Rendered pictures: the same for the same seed, and the truth is where the paint is."""

import cv2
import numpy as np
import pytest

from data_miner.sample import camera
from data_miner.sample.films import Shot
from data_miner.sample.objects import DRAW
from data_miner.sample.pictures import PER_VIEW, pictures
from data_miner.sample.render import path_of, shoot
from data_miner.sample.scenes import HEIGHT_PX, KINDS, Thing, View, build

SHARES = {"glass_door": 0.5, "wooden_door": 0.3, "window": 0.2}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_draw_equal_views(kind: str) -> None:
    one, two, other = (build(kind, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert one.things == two.things
    assert np.array_equal(one.bgr, two.bgr)
    assert other.bgr.shape != one.bgr.shape or not np.array_equal(other.bgr, one.bgr)


@pytest.mark.parametrize("kind", ["glass_door", "wooden_door", "window"])
def test_a_view_shows_what_it_is_named_for(kind: str) -> None:
    for seed in range(20):
        view = build(kind, np.random.default_rng(seed))
        assert kind in {thing.kind for thing in view.things}
        if kind != "glass_door":
            assert "glass_door" not in {thing.kind for thing in view.things}
        for thing in view.things:
            x1, y1, x2, y2 = thing.box
            assert 0 <= x1 < x2 <= view.bgr.shape[1] and 0 <= y1 < y2 <= HEIGHT_PX


def test_boxes_lie_inside_the_picture() -> None:
    for one in pictures(31, 30, SHARES):
        for x1, y1, x2, y2 in (box for boxes in one.seen.boxes.values() for box in boxes):
            assert 0 <= x1 < x2 <= camera.WIDTH_PX and 0 <= y1 < y2 <= camera.HEIGHT_PX


def test_the_truth_is_where_the_door_was_painted() -> None:
    """Paint a door into one of two equal views and photograph both: they differ in the box alone."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        bare = np.full((HEIGHT_PX, 1200, 3), 127, np.uint8)
        thing = Thing("glass_door", (500, 150, 700, 440))
        painted = bare.copy()
        DRAW[thing.kind](painted, rng, thing.box)
        view = View("glass_door", painted, (thing,), 600)
        aim = path_of(view, Shot("glass_door", 4, 0, "push"), rng)[int(rng.integers(40))]
        matrix = camera.homography(aim)
        changed = cv2.absdiff(camera.photograph(view, matrix), camera.photograph(View("", bare, (), 0), matrix)).max(
            axis=2
        )
        ys, xs = np.nonzero(changed > 8)
        (box,) = camera.truth(view, matrix).boxes["glass_door"]
        assert box == pytest.approx((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), abs=3)


def test_a_door_hardly_in_view_is_no_truth() -> None:
    bgr = np.zeros((HEIGHT_PX, 1200, 3), np.uint8)
    view = View("glass_door", bgr, (Thing("glass_door", (500, 150, 700, 440)),), 600)
    for left, counted in ((560, True), (680, False)):  # where the picture begins: 140 or 20 of 200 px in view
        matrix = camera.homography(camera.Aim(x=left + 240, y=300, width=480))
        seen = camera.truth(view, matrix)
        assert ("glass_door" in seen.boxes) is counted
        assert ("glass_door" in seen.partial) is not counted
        assert camera.subject(view, seen) == ("glass_door" if counted else None)


def test_equal_shots_give_equal_frames_in_any_film() -> None:
    shot = Shot("glass_door", 1, 7, people=True)
    one, two = ([frame[0] for frame in shoot(shot, 3)] for _ in range(2))
    assert len(one) == 10
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], next(iter(shoot(shot, 4)))[0])


def test_blur_takes_the_edges_and_dark_takes_the_light() -> None:
    def measure(effect: str) -> tuple[float, float]:
        picture, _, subject = next(iter(shoot(Shot("glass_door", 1, 9, effect=effect), 3)))
        assert (subject is None) is (effect != "")
        luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        return float(cv2.Laplacian(luma, cv2.CV_64F).var()), float(luma.mean())

    (sharp, light), (blurred, _), (_, dark) = measure(""), measure("blur"), measure("dark")
    assert sharp > 100 > 10 > blurred
    assert light > 60 > 20 > dark


def test_pictures_of_one_seed_repeat_and_of_another_do_not() -> None:
    one, two, other = (list(pictures(seed, 2 * PER_VIEW + 1, SHARES)) for seed in (8, 8, 9))
    assert len(one) == 2 * PER_VIEW + 1
    assert all(np.array_equal(a.bgr, b.bgr) and a.seen == b.seen for a, b in zip(one, two, strict=True))
    assert not any(np.array_equal(a.bgr, b.bgr) for a, b in zip(one, other, strict=True))
