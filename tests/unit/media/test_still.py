"""Pictures from files: every common format to the same pixels, and damage told apart from nothing."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_miner.errors import NeverError
from data_miner.media.still import read_still, scaled
from tests.support.videos import pattern, read_index

PICTURE = pattern(1234, 192, 128)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_every_format_gives_the_picture(tmp_path: Path, ending: str) -> None:
    Image.fromarray(PICTURE).save(tmp_path / f"a.{ending}")
    rgb = read_still(tmp_path / f"a.{ending}")
    assert rgb.shape == PICTURE.shape and rgb.dtype == np.uint8 and rgb.flags.writeable
    assert read_index(rgb) == 1234


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (250, 120, 10)).save(tmp_path / "a.png")
    assert read_still(tmp_path / "a.png")[0, 0].tolist() == [250, 120, 10]


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # the camera was held upright
    Image.fromarray(np.rot90(PICTURE)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert read_index(read_still(tmp_path / "a.jpg")) == 1234


def test_depth_and_transparency_become_plain_pixels(tmp_path: Path) -> None:
    Image.fromarray(PICTURE[:, :, 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert read_index(read_still(tmp_path / "deep.png")) == 1234
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_still(tmp_path / "clear.png") == 255).all(), "nothing is white, as a page shows it"
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert read_index(read_still(tmp_path / "print.jpg")) == 1234


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>no picture</html>")
    Image.fromarray(PICTURE).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-200])
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("page.jpg", "cut.png", "empty.png"):
        with pytest.raises(NeverError) as told:
            read_still(tmp_path / name)
        assert told.value.reason == "unreadable"
    with pytest.raises(FileNotFoundError):
        read_still(tmp_path / "absent.png")


def test_an_absurd_size_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    head = struct.pack(">II5B", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(NeverError, match="beyond 100 Mpx"):
        read_still(tmp_path / "huge.png")


def test_a_large_picture_is_made_smaller_and_a_small_one_left() -> None:
    assert scaled(PICTURE, 96).shape == (64, 96, 3) and read_index(scaled(PICTURE, 96)) == 1234
    assert scaled(PICTURE, None) is PICTURE and scaled(PICTURE, 192) is PICTURE
