"""JPEG there and back, and what is refused before it is decoded."""

import io
import resource

import cv2
import numpy as np
import pytest
from PIL import Image

from data_miner.errors import NeverError
from data_miner.media.jpeg import decode, decode_scaled, encode, size_of
from tests.support.videos import pattern, read_index


def test_colours_survive_in_their_order() -> None:
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:] = (200, 40, 90)
    data = encode(rgb, 95)
    assert np.abs(decode(data).astype(int) - rgb.astype(int)).max() <= 3
    # another reader sees the same
    assert np.abs(np.asarray(Image.open(io.BytesIO(data))).astype(int) - rgb.astype(int)).max() <= 3


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert encode(pattern(5), 92) == encode(pattern(5).copy(), 92)


def test_quality_is_obeyed() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert len(encode(noise, 40)) < len(encode(noise, 92)) / 2


@pytest.mark.parametrize("max_side", [1, 30, 64, 100, 192, 500])
def test_scaled_decoding_gives_the_asked_size(max_side: int) -> None:
    rgb = decode_scaled(encode(pattern(9, 384, 256), 92), max_side)
    longest = min(384, max_side)
    assert rgb.shape == (max(1, round(longest * 2 / 3)), longest, 3)
    if max_side >= 30:
        assert read_index(rgb) == 9


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (640, 361)])
def test_sizes_are_read_from_the_header(size: tuple[int, int]) -> None:
    width, height = size
    assert size_of(encode(pattern(1, width, height), 80)) == size


def test_progressive_pictures_with_metadata_are_read() -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a thumbnail may end with FF D9: \xff\xd9"
    Image.fromarray(pattern(3)).save(out, "JPEG", progressive=True, quality=90, exif=exif)
    assert read_index(decode(out.getvalue())) == 3


WHOLE = encode(pattern(4), 92)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"<html></html>",
        bytes(1000),
        WHOLE[: len(WHOLE) // 2],
        WHOLE[2:],
        b"\xff\xd8\xff\xe0\x00\x00",
    ],
    ids=["nothing", "start only", "html", "zeros", "half", "headless", "zero length marker"],
)
def test_garbage_is_unreadable(data: bytes) -> None:
    for read in (decode, lambda data: decode_scaled(data, 100)):
        with pytest.raises(NeverError) as caught:
            read(data)
        assert caught.value.reason == "unreadable"


def test_an_absurd_size_is_refused_before_decoding() -> None:
    data = bytearray(encode(pattern(4), 92))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = (65_000).to_bytes(2, "big") * 2
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NeverError, match="65000×65000"):
        decode(bytes(data))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


def test_grey_pictures_come_out_as_rgb() -> None:
    _, data = cv2.imencode(".jpg", pattern(6)[:, :, 0])
    assert read_index(decode(data.tobytes())) == 6
