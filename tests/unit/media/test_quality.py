"""Numbers of the measuring plane, on pictures whose numbers are known."""

import cv2
import numpy as np
import pytest

from data_miner.media.phash import phash
from data_miner.media.quality import luma_plane, measure, measure_picture
from tests.support.videos import pattern


def flat(grey: int, width: int = 1280, height: int = 720) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


@pytest.mark.parametrize("grey", [0, 17, 255])
def test_a_flat_picture_has_its_grey_and_nothing_else(grey: int) -> None:
    quality = measure(flat(grey))
    assert (quality.brightness, quality.contrast, quality.sharpness) == (grey, 0, 0)


def test_numbers_are_those_of_the_textbook_on_the_plane() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    plane = luma_plane(rgb)
    quality = measure(rgb)
    assert plane.shape == (360, 640)
    assert quality.brightness == pytest.approx(plane.mean())
    assert quality.contrast == pytest.approx(plane.std())
    assert quality.sharpness == pytest.approx(cv2.Laplacian(plane, cv2.CV_64F).var())


def test_blur_lowers_sharpness_and_leaves_brightness() -> None:
    sharp = pattern(1234, 1280, 720)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 8)
    assert measure(blurred).sharpness < measure(sharp).sharpness / 20
    assert measure(blurred).brightness == pytest.approx(measure(sharp).brightness, abs=1)


def test_one_scene_at_two_sizes_measures_alike() -> None:
    scene = cv2.GaussianBlur(pattern(1234, 1920, 1080), (0, 0), 4)
    smaller = cv2.resize(scene, (960, 540), interpolation=cv2.INTER_AREA)
    full = [cv2.Laplacian(rgb[:, :, 0], cv2.CV_64F).var() for rgb in (scene, smaller)]
    assert full[1] / full[0] > 4  # without the plane the smaller one seems far sharper
    assert measure(smaller).sharpness / measure(scene).sharpness == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("size", [(1, 1), (3, 4000), (4000, 3), (16_384, 1), (333, 777)])
def test_any_shape_can_be_measured(size: tuple[int, int]) -> None:
    width, height = size
    rgb = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    quality, hash_ = measure_picture(rgb)
    assert 0 <= quality.brightness <= 255
    assert 0 <= hash_ < 2**64


def test_measuring_together_gives_what_measuring_apart_gives() -> None:
    rgb = pattern(77, 640, 480)
    assert measure_picture(rgb) == (measure(rgb), phash(luma_plane(rgb)))
