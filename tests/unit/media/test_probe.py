"""What a probe finds, and what it refuses."""

import resource
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_miner.errors import NeverError
from data_miner.media.probe import probe
from tests.support.shared import shared
from tests.support.videos import cut_off, write_sound, write_video

EVEN = [40 * i for i in range(50)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mkv", {}),
        ("a.mkv", {"options": {"live": "1"}}),
        ("a.mp4", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("a.ts", {}),
    ],
    ids=["mp4", "mkv", "mkv without duration", "fragmented mp4", "transport stream"],
)
def test_length_runs_from_the_first_picture_to_the_end_of_the_last(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    media = probe(write_video(tmp_path / name, EVEN, **options))
    # the last picture's own length is a muxer's guess: one mean frame, 33 ms at its nominal 30 fps or 40 true
    assert 1990 <= media.duration_ms <= 2001
    assert (media.width, media.height, media.codec) == (192, 128, "h264")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_late_start_is_found_and_does_not_count_as_length(name: str, tmp_path: Path) -> None:
    media = probe(write_video(tmp_path / name, [7000 + ms for ms in EVEN]))
    assert media.first_pts_ms == 7000
    assert 1990 <= media.duration_ms <= 2001


def test_a_cut_off_file_has_the_length_it_declares(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", EVEN, options={"movflags": "faststart"})
    media = probe(path)
    assert abs(probe(cut_off(path, 0.7)).duration_ms - media.duration_ms) <= 40


def test_a_single_picture_has_a_length(tmp_path: Path) -> None:
    assert probe(write_video(tmp_path / "a.mkv", [5000])).duration_ms >= 1


def test_real_videos_are_as_they_are_known() -> None:
    bottles = probe(shared("videos/bottle-detection.mp4"))
    people = probe(shared("videos/one-by-one-person-detection.mp4"))
    assert (bottles.width, bottles.height, round(bottles.duration_ms / 100)) == (640, 360, 399)
    assert (people.width, people.height, round(people.duration_ms / 100)) == (768, 432, 1394)
    assert bottles.average_fps == pytest.approx(29.8, abs=0.1)
    assert people.average_fps == pytest.approx(10.0)


def refusal(path: Path) -> str:
    with pytest.raises(NeverError) as caught:
        probe(path)
    assert caught.value.reason == "unreadable"
    assert "\n" not in str(caught.value)
    return caught.value.detail


def test_an_empty_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    assert "empty" in refusal(path)


def test_a_web_page_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("<!doctype html><html><body>Sign in to confirm you're not a bot</body></html>\n" * 50)
    assert "not a video" in refusal(path)


def test_sound_alone_is_unreadable(tmp_path: Path) -> None:
    assert "sound" in refusal(write_sound(tmp_path / "a.mp4"))


def test_noise_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(np.random.default_rng(1).bytes(300_000))
    assert refusal(path)


def test_an_mp4_without_its_index_is_unreadable(tmp_path: Path) -> None:
    assert refusal(cut_off(write_video(tmp_path / "a.mp4", EVEN), 0.7))


def test_a_folder_and_a_device_are_unreadable(tmp_path: Path) -> None:
    assert "regular" in refusal(tmp_path)
    assert "regular" in refusal(Path("/dev/zero"))


def test_a_file_that_is_gone_is_not_called_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "a.mp4")


def test_a_picture_that_is_too_wide_is_refused(tmp_path: Path) -> None:
    size = (20_000, 16)
    path = write_video(tmp_path / "a.mkv", [0, 40], size=size, codec="mjpeg", pix_fmt="yuvj420p")
    assert "20000×16" in refusal(path)


def test_a_picture_that_is_too_large_is_refused_without_room_for_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", [0, 1], time_base=Fraction(1, 25), codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    # 16,000 × 16,000 in the JPEG frame headers and in AVI's own: 384 MB a picture, were it made
    at = data.find(b"\xff\xc0")
    while at >= 0:
        data[at + 5 : at + 9] = (16_000).to_bytes(2, "big") * 2
        at = data.find(b"\xff\xc0", at + 2)
    head = data.index(b"strf") + 8
    data[head + 4 : head + 12] = (16_000).to_bytes(4, "little") * 2
    path.write_bytes(bytes(data))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"),
        ("a.mp4", "ffconcat version 1.0\nfile '{target}'\n"),
        ("a.mpd", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>'),
    ],
    ids=["hls", "concat", "dash"],
)
def test_a_list_that_names_other_files_is_not_followed(name: str, text: str, tmp_path: Path) -> None:
    target = write_video(tmp_path / "target.mp4", EVEN)
    path = tmp_path / name
    path.write_text(text.format(target=target))
    assert "known format" in refusal(path)


def test_a_title_in_an_old_encoding_does_not_matter(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", EVEN, metadata={"title": "Fahrt durch Munchen"})
    data = path.read_bytes()
    assert data.count(b"Munchen") == 1
    path.write_bytes(data.replace(b"Munchen", "München".encode("latin-1")))
    assert probe(path).width == 192


def test_a_name_that_looks_like_a_protocol_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "b.mp4", EVEN).rename(tmp_path / "concat:b.mp4")
    assert probe(Path("concat:b.mp4")).width == 192
    with pytest.raises(FileNotFoundError):
        probe(Path("http://127.0.0.1:9/b.mp4"))
