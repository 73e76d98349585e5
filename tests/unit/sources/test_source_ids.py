"""Ids and sites: one video one name, two videos two names, whatever a site calls them."""

import subprocess
import sys

import pytest

from data_miner.sources.base import generic_id, normalised, site_of, video_id


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("ytsearch40:glass door", "youtube"),
        ("https://www.youtube.com/watch?v=3kX9f0aQbLs", "youtube"),
        ("https://youtu.be/3kX9f0aQbLs", "youtube"),
        ("https://www.youtube.com/@somebody/videos", "youtube"),
        ("https://vimeo.com/123456", "vimeo"),
        ("https://vimeo.com/channels/staffpicks", "vimeo"),
        ("https://space.bilibili.com/3985676/video", "bilibili"),
        ("https://www.bilibili.com/video/BV1bK411W797", "bilibili"),
        ("http://127.0.0.1:8000/feed.xml", "127.0.0.1:8000"),
        ("https://Videos.Example.org:443/a.mp4", "videos.example.org"),
        ("https://youtube.com.evil.example/watch?v=3kX9f0aQbLs", "youtube.com.evil.example"),
    ],
)
def test_one_site_has_one_name(url: str, site: str) -> None:
    assert site_of(url) == site


def test_two_urls_with_one_base_name_are_two_videos() -> None:
    ids = {video_id("Generic", "clip", f"http://h.example/{folder}/clip.mp4") for folder in "ab"}
    assert len(ids) == 2
    assert all(one.startswith("generic:") and len(one) == len("generic:") + 16 for one in ids)


@pytest.mark.parametrize(
    "spelling",
    [
        "HTTP://Example.ORG/a/clip.mp4?q=1",
        "http://example.org:80/a/clip.mp4?q=1",
        "http://example.org/a/clip.mp4?q=1#t=30",
        "http://example.org/a/b/../clip.mp4?q=1",
        "http://example.org/./a/clip.mp4?q=1",
        " http://user:word@example.org/a/clip.mp4?q=1",
    ],
)
def test_spellings_of_one_url_are_one_video(spelling: str) -> None:
    assert generic_id(spelling) == generic_id("http://example.org/a/clip.mp4?q=1")


@pytest.mark.parametrize("other", ["a/clip.mp4?q=2", "a/clip.mp4", "A/clip.mp4?q=1", "a//clip.mp4?q=1"])
def test_query_and_case_of_the_path_tell_videos_apart(other: str) -> None:
    assert generic_id(f"http://example.org/{other}") != generic_id("http://example.org/a/clip.mp4?q=1")


def test_dot_segments_cannot_climb_above_the_root() -> None:
    assert normalised("http://h.example/../../etc/passwd") == "http://h.example/etc/passwd"
    assert normalised("http://h.example/a/b/..") == "http://h.example/a/"
    assert normalised("http://h.example") == "http://h.example/"


def test_youtube_ids_stay_as_they_are() -> None:
    assert video_id("Youtube", "-_kX9f0aQbL", "https://www.youtube.com/watch?v=-_kX9f0aQbL") == ("youtube:-_kX9f0aQbL")


@pytest.mark.parametrize("native", ["../../etc/passwd", "a\nb", "x" * 500, "🚪" * 20, "a/b", ".", "..", "a b"])
def test_hostile_ids_become_one_safe_part(native: str) -> None:
    name = video_id("Evil", native, "https://evil.example/")
    extractor, _, rest = name.partition(":")
    assert extractor == "evil"
    assert rest.isascii() and not set(rest) & set("/\\\n\0 :") and 0 < len(rest) <= 100
    assert rest not in (".", "..") and name != video_id("Evil", native + "x", "https://evil.example/")


def test_importing_the_sources_imports_no_ytdlp() -> None:
    code = (
        "import sys, data_miner.sources.ytdlp, data_miner.sources.local, data_miner.sources.policy;"
        "sys.exit(any(m.split('.')[0] in ('yt_dlp', 'torch', 'ray') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
