"""Sampling real encoded files: right pictures at right times, whatever the container does."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from data_miner.errors import NeverError
from data_miner.media.container import is_cut_off
from data_miner.media.probe import probe
from data_miner.media.reader import Picture, SegmentReader
from data_miner.media.sampling import Cut, Sampling, cut_segments
from tests.support.shared import shared
from tests.support.videos import (
    cut_off,
    pattern,
    read_index,
    wanted,
    with_noise,
    write_sound,
    write_video,
)

INTERVAL = Sampling("interval", Fraction(2))
KEYFRAME = Sampling("keyframe")
SCENE = Sampling("scene")
EVEN = [40 * i for i in range(100)]  # ms, 25 fps, 4 s


def read(
    path: Path, sampling: Sampling, segment_ms: int = 600_000, max_frames: int | None = None, **options: Any
) -> tuple[list[Picture], list[SegmentReader]]:
    """All segments of a video, one after the other."""
    media = probe(path)
    cuts = cut_segments(media.first_pts_ms, media.duration_ms, sampling, segment_ms, max_frames)
    readers = [SegmentReader(path, sampling, cut, media.first_pts_ms, **options) for cut in cuts]
    return [picture for reader in readers for picture in reader], readers


def seen(pictures: list[Picture]) -> list[tuple[int, int]]:
    return [(picture.pts_ms, read_index(picture.rgb)) for picture in pictures]


JITTER = np.random.default_rng(7)
VFR = np.cumsum(JITTER.choice([7, 20, 40, 300, 1700], 100, p=[0.3, 0.3, 0.3, 0.08, 0.02])).tolist()
OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0:keyint=12"}
VP9 = {"cpu-used": "8", "deadline": "realtime"}
FILES: dict[str, tuple[str, list[int], dict[str, Any]]] = {
    "mp4": ("a.mp4", EVEN, {}),
    "mkv": ("a.mkv", EVEN, {}),
    "fragmented": ("a.mp4", EVEN, {"options": {"movflags": "frag_keyframe+empty_moov"}}),
    "transport stream": ("a.ts", EVEN, {}),
    "flv": ("a.flv", EVEN, {"codec": "flv"}),
    "vp9": ("a.webm", EVEN, {"codec": "libvpx-vp9", "codec_options": VP9}),
    "hevc": ("a.mp4", EVEN, {"codec": "libx265", "codec_options": {"x265-params": "log-level=none:pools=1"}}),
    "variable rate": ("a.mp4", VFR, {}),
    "variable rate mkv": ("a.mkv", VFR, {}),
    "sparse": ("a.mkv", [0, 100, 5100, 5200, 9999, 30_000], {}),
    "late start": ("a.mp4", [3456 + ms for ms in EVEN], {}),
    "late start mkv": ("a.mkv", [3456 + ms for ms in EVEN], {}),
    "no duration": ("a.mkv", EVEN, {"options": {"live": "1"}}),
    "ten bit": ("a.mp4", EVEN, {"pix_fmt": "yuv420p10le"}),
    "odd size": ("a.mkv", EVEN, {"size": (191, 127), "pix_fmt": "yuv444p"}),
    "one frame": ("a.mp4", [0], {}),
    "one late frame": ("a.mkv", [5000], {}),
    "open gop": ("a.mp4", EVEN, {"codec_options": OPEN_GOP}),
    "open gop transport stream": ("a.ts", EVEN, {"codec_options": OPEN_GOP}),
    "intra refresh": ("a.mp4", EVEN, {"codec_options": {"x264-params": "intra-refresh=1:keyint=12"}}),
    "one key frame": ("a.mp4", EVEN, {"gop": 1000}),
    "every frame a key": ("a.mkv", EVEN, {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
}


@pytest.mark.parametrize("kind", FILES)
def test_pictures_are_the_first_at_or_after_their_targets(kind: str, tmp_path: Path) -> None:
    name, pts_ms, options = FILES[kind]
    path = write_video(tmp_path / name, pts_ms, **options)
    offset_ms = probe(path).first_pts_ms - pts_ms[0]
    # the muxers of these two cannot hide the encoder's delay, so their first picture really is shown later
    assert offset_ms == (80 if name.endswith(".ts") or kind == "fragmented" else 0)
    pictures, readers = read(path, INTERVAL)
    assert seen(pictures) == [(ms + offset_ms, index) for ms, index in wanted(pts_ms, INTERVAL.fps)]
    assert not any(reader.truncated for reader in readers)


@pytest.mark.parametrize("sampling", [INTERVAL, KEYFRAME, SCENE], ids=["interval", "keyframe", "scene"])
@pytest.mark.parametrize("kind", FILES)
def test_segments_give_the_pictures_of_one_piece(kind: str, sampling: Sampling, tmp_path: Path) -> None:
    name, pts_ms, options = FILES[kind]
    path = write_video(tmp_path / name, pts_ms, **options)
    whole, _ = read(path, sampling)
    pieces, readers = read(path, sampling, segment_ms=700)
    assert [picture.pts_ms for picture in pieces] == [picture.pts_ms for picture in whole]
    assert all(np.array_equal(left.rgb, right.rgb) for left, right in zip(whole, pieces, strict=True))
    assert whole
    assert not any(reader.truncated for reader in readers)


@pytest.mark.parametrize("sampling", [Sampling("interval", Fraction(5)), KEYFRAME], ids=["interval", "keyframe"])
@pytest.mark.parametrize("name", ["bottle-detection.mp4", "one-by-one-person-detection.mp4"])
def test_segments_of_a_real_video_give_the_pictures_of_one_piece(name: str, sampling: Sampling) -> None:
    path = shared("videos") / name
    media = probe(path)
    cuts = cut_segments(0, 9_000, sampling, 1_700)
    whole = list(SegmentReader(path, sampling, Cut(0, 9_000), media.first_pts_ms))
    pieces = [picture for cut in cuts for picture in SegmentReader(path, sampling, cut, media.first_pts_ms)]
    assert [picture.pts_ms for picture in pieces] == [picture.pts_ms for picture in whole]
    assert all(np.array_equal(left.rgb, right.rgb) for left, right in zip(whole, pieces, strict=True))


def test_decoder_threads_change_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN)
    one, _ = read(path, INTERVAL, 900)
    two, _ = read(path, INTERVAL, 900, threads=2)
    assert seen(one) == seen(two)
    assert all(np.array_equal(left.rgb, right.rgb) for left, right in zip(one, two, strict=True))


def test_key_frames_come_at_their_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, gop=20, codec_options={"x264-params": "scenecut=0"})
    pictures, _ = read(path, KEYFRAME)
    assert seen(pictures) == [(0, 0), (800, 20), (1600, 40), (2400, 60), (3200, 80)]


def test_key_frames_are_thinned_evenly(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, gop=20, codec_options={"x264-params": "scenecut=0"})
    pictures, (reader,) = read(path, KEYFRAME, max_frames=2)
    assert seen(pictures) == [(0, 0), (1600, 40)]
    assert reader.dropped_max_frames == 3


def test_max_frames_is_spread_over_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN)
    pictures, readers = read(path, INTERVAL, 2000, max_frames=4)
    assert [ms for ms, _ in seen(pictures)] == [0, 1000, 2000, 3000]
    assert [reader.dropped_max_frames for reader in readers] == [2, 2]


# Where a point of the stored picture is shown (a, b, c, d of the display matrix), and what to store so that
# the shown picture is upright: written out by hand from the standard, not taken from the code under test.
MATRICES: dict[str, tuple[tuple[int, int, int, int], Any]] = {
    "clockwise": ((0, 1, -1, 0), lambda upright: np.rot90(upright, 1)),
    "counter-clockwise": ((0, -1, 1, 0), lambda upright: np.rot90(upright, -1)),
    "upside down": ((-1, 0, 0, -1), lambda upright: upright[::-1, ::-1]),
    "mirrored left to right": ((-1, 0, 0, 1), lambda upright: upright[:, ::-1]),
    "mirrored top to bottom": ((1, 0, 0, -1), lambda upright: upright[::-1]),
    "transposed": ((0, 1, 1, 0), lambda upright: upright.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_pictures_are_turned_upright(kind: str, tmp_path: Path) -> None:
    matrix, store = MATRICES[kind]
    stored = [np.ascontiguousarray(store(pattern(i))) for i in range(10)]
    height, width = stored[0].shape[:2]
    path = write_video(tmp_path / "a.mp4", EVEN[:10], size=(width, height), matrix=matrix, pictures=stored)
    pictures, _ = read(path, INTERVAL)
    assert seen(pictures) == [(0, 0)]
    assert pictures[0].rgb.shape == (128, 192, 3)
    assert (probe(path).width, probe(path).height) == (192, 128)


@pytest.mark.parametrize(("aspect", "shown"), [(Fraction(2), (384, 128)), (Fraction(1, 2), (96, 128))])
def test_pixels_become_square(aspect: Fraction, shown: tuple[int, int], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN[:10], sample_aspect=aspect)
    pictures, _ = read(path, INTERVAL)
    assert pictures[0].rgb.shape == (shown[1], shown[0], 3)
    assert read_index(pictures[0].rgb) == 0
    assert (probe(path).width, probe(path).height) == shown


def test_large_pictures_are_scaled_down_and_small_ones_left(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN[:10])
    small, _ = read(path, INTERVAL, max_side=96)
    assert small[0].rgb.shape == (64, 96, 3)
    same, _ = read(path, INTERVAL, max_side=4000)
    assert same[0].rgb.shape == (128, 192, 3)


def test_colours_come_out_as_they_went_in(tmp_path: Path) -> None:
    colour = np.zeros((128, 192, 3), np.uint8)
    colour[:, :96], colour[:, 96:] = (200, 40, 90), (30, 180, 60)
    path = write_video(tmp_path / "a.mp4", [0], pictures=[colour], codec_options={"qp": "4"})
    (picture,), _ = read(path, INTERVAL)
    for column in (40, 150):
        assert np.abs(picture.rgb[64, column].astype(int) - colour[64, column].astype(int)).max() <= 6


def test_frames_an_edit_list_hides_are_not_presented(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [ms - 1000 for ms in EVEN], codec_options={"bf": "0"})
    with av.open(str(path)) as container:
        hidden = [packet.pts for packet in container.demux() if packet.pts is not None and packet.pts < 0]
    assert hidden, "the file hides nothing: it proves nothing"
    assert probe(path).first_pts_ms == 0
    assert seen(read(path, INTERVAL, 700)[0])[:2] == [(0, 25), (520, 38)]


@pytest.mark.parametrize("sampling", [INTERVAL, KEYFRAME], ids=["interval", "keyframe"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_what_lies_before_a_break_is_kept(name: str, sampling: Sampling, tmp_path: Path) -> None:
    options: dict[str, Any] = {"options": {"movflags": "faststart"}} if name == "a.mp4" else {}
    if name == "a.avi":
        options = {"codec": "mpeg4"}
    path = write_video(tmp_path / name, range(100), time_base=Fraction(1, 25), **options)
    whole = seen(read(path, sampling)[0])
    assert not is_cut_off(path)
    cut_off(path, 0.6)
    assert is_cut_off(path)
    pictures, readers = read(path, sampling)
    kept = seen(pictures)
    assert 3 <= len(kept) < len(whole)
    assert kept == whole[: len(kept)]
    assert readers[0].truncated


def test_only_segments_at_and_after_a_break_are_truncated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, options={"movflags": "faststart"})
    cut_off(path, 0.6)
    pictures, readers = read(path, INTERVAL, 1000)
    truncated = [reader.truncated for reader in readers]
    assert truncated[0] is False
    assert truncated == sorted(truncated)
    assert truncated[-1] is True
    assert seen(pictures) == wanted(EVEN, INTERVAL.fps)[: len(pictures)]


def test_damage_in_the_middle_does_not_lose_the_rest(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, options={"movflags": "faststart"})
    whole, _ = read(path, INTERVAL)
    with_noise(path, 0.5, 300)
    pictures, (reader,) = read(path, INTERVAL)
    times = [picture.pts_ms for picture in pictures]
    assert {0, 520, 1000, 3000, 3520} <= set(times)
    assert not reader.truncated
    intact = [(picture.pts_ms, read_index(picture.rgb)) for picture in pictures if picture.pts_ms >= 3000]
    assert intact == [pair for pair in seen(whole) if pair[0] >= 3000]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_file_without_a_table_of_key_frames_is_read_right(codec: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, codec=codec)
    whole, keys = seen(read(path, INTERVAL)[0]), seen(read(path, KEYFRAME)[0])
    data = path.read_bytes()
    assert b"stss" in data
    path.write_bytes(data.replace(b"stss", b"free"))
    assert seen(read(path, INTERVAL, 700)[0]) == whole
    assert seen(read(path, KEYFRAME, 700)[0]) == keys


DAMAGED: dict[str, dict[str, Any]] = {
    "a.mp4": {"options": {"movflags": "faststart"}},
    "b.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "a.mkv": {},
    "a.ts": {},
    "a.avi": {"codec": "mpeg4"},
    "a.flv": {"codec": "flv"},
    "a.asf": {"codec": "wmv2"},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_anywhere_gives_pictures_or_a_reason(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, range(100), time_base=Fraction(1, 25), **DAMAGED[name])
    whole = path.read_bytes()
    random = np.random.default_rng(11)
    for _ in range(12):
        data = bytearray(whole)
        for start in random.integers(0, len(data), random.integers(1, 6)):
            length = min(int(random.choice([1, 4, 40, 1000])), len(data) - start)
            data[start : start + length] = random.bytes(length)
        path.write_bytes(bytes(data))
        for sampling in (INTERVAL, KEYFRAME, SCENE):
            try:
                readers = [SegmentReader(path, sampling, Cut(start, start + 1500), 0) for start in (0, 1500, 3000)]
                times = [picture.pts_ms for reader in readers for picture in reader]
            except NeverError as error:
                assert error.reason == "unreadable"
            else:
                assert len(times) == len(set(times))


def test_a_file_whose_end_is_zeros_is_truncated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [20 * i for i in range(400)], options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    pictures, (reader,) = read(path, INTERVAL)
    assert len(pictures) >= 5
    assert reader.truncated


def test_a_file_without_one_decodable_picture_is_unreadable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, options={"movflags": "faststart"})
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    for sampling in (INTERVAL, KEYFRAME, SCENE):
        with pytest.raises(NeverError) as caught:
            list(SegmentReader(path, sampling, Cut(2000, 4000), 0))
        assert caught.value.reason == "unreadable"


def test_sound_alone_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(NeverError, match="unreadable"):
        list(SegmentReader(write_sound(tmp_path / "a.mp4"), INTERVAL, Cut(0, 1000), 0))


def test_reading_again_gives_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN)
    reader = SegmentReader(path, INTERVAL, Cut(0, 4000, 3), 0)
    first, dropped = seen(list(reader)), reader.dropped_max_frames
    assert (seen(list(reader)), reader.dropped_max_frames) == (first, dropped)
    assert dropped == 5
