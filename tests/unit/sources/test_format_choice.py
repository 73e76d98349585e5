"""Which of a page's formats is fetched: one stream with a picture, as yt-dlp itself would pick it."""

from typing import Any

import pytest

from data_miner.records import VideoInfo
from data_miner.sources.client import Options
from data_miner.sources.ytdlp import Page, choose_format

INFO = VideoInfo("youtube:a", "https://www.youtube.com/watch?v=a", "youtube")


def video(name: str, height: int, codec: str = "avc1.64001f", ext: str = "mp4", **more: Any) -> dict[str, Any]:
    return {
        "format_id": name, "url": f"https://v.example/{name}", "ext": ext, "height": height,
        "width": height * 16 // 9, "vcodec": codec, "acodec": "none", "protocol": "https", **more,
    }  # fmt: skip


SOUND = {"format_id": "sound", "url": "https://v.example/s", "ext": "m4a", "vcodec": "none", "acodec": "mp4a"}
MUXED = video("muxed", 360, acodec="mp4a")
FORMATS = [
    SOUND,
    MUXED,
    video("360", 360),
    video("720-av1", 720, "av01.0.05M.08"),
    video("720-60", 720, fps=60),
    video("720", 720, fps=30),
    video("720-hdr", 720, "vp9.2", "webm", dynamic_range="HDR10"),
    video("1080", 1080),
]


def chosen(formats: list[dict[str, Any]], max_height: int) -> str:
    raw = {"id": "a", "title": "a", "extractor": "youtube", "extractor_key": "Youtube", "formats": formats}
    page = Page(INFO, {**raw, "webpage_url": INFO.url, "requested_formats": ["of an earlier choice"]})
    return str(choose_format(page, max_height, Options())["format_id"])


@pytest.mark.parametrize(
    ("max_height", "name"), [(720, "720"), (1080, "1080"), (2160, "1080"), (480, "360"), (360, "360")]
)
def test_the_highest_within_the_limit_without_sound(max_height: int, name: str) -> None:
    assert chosen(FORMATS, max_height) == name


def test_a_muxed_stream_serves_where_there_is_no_other() -> None:
    assert chosen([SOUND, MUXED, video("1080", 1080)], 720) == "muxed"


def test_the_lowest_serves_where_all_are_too_high() -> None:
    assert chosen([SOUND, video("2160", 2160), video("1440", 1440)], 720) == "1440"


def test_another_container_serves_where_there_is_no_mp4() -> None:
    assert chosen([SOUND, video("webm", 720, "vp9", "webm")], 720) == "webm"
