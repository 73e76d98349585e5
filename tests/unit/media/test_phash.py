"""The hash has imagehash's bits."""

from fractions import Fraction

import imagehash
import numpy as np
import pytest
from PIL import Image

from data_miner.media.phash import phash
from data_miner.media.quality import luma_plane
from data_miner.media.reader import SegmentReader
from data_miner.media.sampling import Cut, Sampling
from tests.support.shared import shared


def reference(plane: np.ndarray) -> int:
    """imagehash's own hexadecimal form, read as a number."""
    return int(str(imagehash.phash(Image.fromarray(plane))), 16)


@pytest.mark.parametrize("seed", range(20))
def test_bits_of_noise_are_imagehashs(seed: int) -> None:
    noise = np.random.default_rng(seed)
    plane = luma_plane(noise.integers(0, 256, [*noise.integers(1, 900, 2).tolist(), 3], dtype=np.uint8))
    assert phash(plane) == reference(plane)


@pytest.mark.parametrize("grey", [0, 1, 77, 128, 255])
def test_bits_of_flat_pictures_are_imagehashs(grey: int) -> None:
    plane = luma_plane(np.full((360, 640, 3), grey, np.uint8))
    assert phash(plane) == reference(plane)


@pytest.mark.parametrize("name", ["bottle-detection.mp4", "one-by-one-person-detection.mp4"])
def test_bits_of_real_frames_are_imagehashs(name: str) -> None:
    reader = SegmentReader(shared("videos") / name, Sampling("interval", Fraction(1)), Cut(0, 12_000), 0)
    planes = [luma_plane(picture.rgb) for picture in reader]
    hashes = [phash(plane) for plane in planes]
    assert hashes == [reference(plane) for plane in planes]
    assert len(set(hashes)) > 1
    assert {hash_.bit_count() for hash_ in hashes} == {32}  # half of all bits, as of any camera picture
