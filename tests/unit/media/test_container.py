"""Telling a file that ends early from one that ends."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from data_miner.errors import NeverError
from data_miner.media.container import check_size, is_cut_off
from tests.support.videos import write_video

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("a.mp4", {}),
    "faststart mp4": ("a.mp4", {"options": {"movflags": "faststart"}}),
    "fragmented mp4": ("a.mp4", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
    "mkv": ("a.mkv", {}),
    "webm": ("a.webm", {"codec": "libvpx-vp9", "codec_options": {"cpu-used": "8", "deadline": "realtime"}}),
    "avi": ("a.avi", {"codec": "mpeg4"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_not_cut_off_and_each_of_its_beginnings_is(kind: str, tmp_path: Path) -> None:
    name, options = KINDS[kind]
    path = write_video(tmp_path / name, range(50), time_base=Fraction(1, 25), **options)
    assert not is_cut_off(path)
    # a fragmented file that ends between two fragments looks like a shorter one: keep off their borders
    sizes = [-1, -500] if kind == "fragmented mp4" else range(200, path.stat().st_size, 53)
    for size_bytes in sizes:
        part = tmp_path / "part"
        part.write_bytes(path.read_bytes()[:size_bytes])
        assert is_cut_off(part), f"of {size_bytes} bytes"


def test_an_mkv_that_declares_no_end_is_not_called_cut_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", range(0, 2000, 40), options={"live": "1"})
    assert not is_cut_off(path)


def test_padding_after_the_last_box_is_no_break(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(0, 400, 40))
    path.write_bytes(path.read_bytes() + bytes(1000))
    assert not is_cut_off(path)


def test_limits_are_16384_a_side_and_100_megapixels() -> None:
    check_size(16_384, 6_103)
    for width, height in ((16_385, 1), (1, 16_385), (10_001, 10_000), (0, 5), (5, -1)):
        with pytest.raises(NeverError, match="unreadable"):
            check_size(width, height)
