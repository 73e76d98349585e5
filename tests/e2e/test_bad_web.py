"""A site that breaks, over loopback and with real yt-dlp: it is judged before its videos, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_miner.ledger.connection import Ledger
from data_miner.sample.site import SampleSite
from tests.support.films import Film
from tests.support.mining import Home
from tests.support.videos import write_video

FEED = """
sources: {{urls: [{urls}], allow_hosts: ['{address}']}}
download: {{max_filesize: 1M}}
filter: {{min_side: 0, min_sharpness: 0, min_contrast: 0, brightness: [0, 255]}}
"""
SITES = "127.0.0.1: {trial_interval_s: 3}\n"
TITLES = ("../../etc/passwd", "two\nlines", "🚪" * 500, "plain", "</script>&amp;", "$(touch pwned) '; DROP TABLE video")


@pytest.fixture(scope="module")
def site(home: Home) -> Iterator[SampleSite]:
    """Six short films with titles that nobody should trust, one that the feed lists and no page has."""
    folder = home.cwd / "site"
    folder.mkdir()
    films = [_film(folder / f"film{n}.mp4", n, title) for n, title in enumerate(TITLES)]
    for name in ("a/clip.mp4", "b/clip.mp4"):
        (folder / name).parent.mkdir()
        write_video(folder / name, range(0, 2000, 40), gop=20 + len(name) + ord(name[0]))
    (folder / "page.mp4").write_text("<!doctype html><html><body>not a video</body></html>")
    (home.cwd / "configs").mkdir()
    (home.cwd / "configs/sites.yaml").write_text(SITES)
    with SampleSite(folder, films) as site:
        yield site


@pytest.fixture(scope="module")
def refused(home: Home, site: SampleSite) -> Any:
    """A run while every video's file is refused."""
    (home.cwd / "web.yaml").write_text(FEED.format(urls=site.feed_url, address=site.address))
    site.break_("403", "/media/*")
    done = home.type("run", "web.yaml", "--no-wait")
    return done, home.status("web"), _jobs(home)


def test_a_site_that_refuses_every_video_is_broken_and_no_video_is(refused: Any, site: SampleSite) -> None:
    done, found, jobs = refused
    assert done.returncode == 6, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(f"{site.address}: ")]
    assert "extractor_broken" in line and "403" in line and "none failed" in line
    assert "Traceback" not in done.stderr
    assert (found["state"], found["videos"]["dead"]) == ("blocked", 0)
    assert found["videos"]["blocked"] >= len(TITLES)
    assert found["failures"] == {}
    assert found["sites"][site.address]["state"] == "shut"
    assert {job.failures for job in jobs} == {0}, "no video spends an attempt"


def test_when_the_fault_is_lifted_the_same_command_finishes(refused: Any, home: Home, site: SampleSite) -> None:
    site.mend()
    site.break_("429", "/watch/*", times=1)  # and it sets its foot in the door once more
    done = home.type("run", "web.yaml")
    assert done.returncode == 0, done.stderr
    assert "rate_limited" in done.stderr
    found = home.status("web")
    assert found["state"] == "finished" and found["failures"] == {}
    assert (found["videos"]["found"], found["videos"]["mined"]) == (len(TITLES) + 1, len(TITLES))
    assert found["drops"]["download"] == {"gone": 1}
    assert found["frames"]["extracted"] == 2 * len(TITLES)
    assert found["sites"][site.address]["state"] == "open"


def test_titles_from_the_network_are_only_text(refused: Any, home: Home) -> None:
    assert not list(home.cwd.rglob("*pwned*")) and not list(home.cwd.rglob("*passwd*"))
    with Ledger(home.server().ensure()).transaction() as cursor:
        titles = {row.title for row in cursor.execute("SELECT title FROM video WHERE title <> ''")}
    home.server().release()
    assert {"../../etc/passwd", "two lines", "$(touch pwned) '; DROP TABLE video"} <= titles
    assert max(map(len, titles)) <= 500


def test_bad_videos_among_good_ones_are_their_own_trouble(home: Home, site: SampleSite) -> None:
    site.mend()
    urls = [f"{site.url}/files/{name}" for name in ("a/clip.mp4", "b/clip.mp4", "page.mp4")]
    pages = [site.watch_url(f"film{n}") for n in range(5)]
    site.break_("endless", "/media/film0*")
    site.break_("403", "/media/film1*")
    site.break_("404", "/watch/film2*")
    site.break_("redirect", "/media/film3*")
    twice = [*urls, *pages, urls[0]]
    (home.cwd / "mixed.yaml").write_text(FEED.format(urls=", ".join(twice), address=site.address))
    # Another height is another file: what the first project fetched does not serve.
    done = home.type("run", "mixed.yaml", "--set", "download.max_height=4000")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    found = home.status("mixed")
    assert found["state"] == "finished" and found["sites"][site.address]["state"] == "open"
    assert found["failures"] == {
        "expand": {"gone": 1},  # a source of its own, which somebody wrote down by hand
        "download": {"too_large": 1, "extractor_broken": 1, "refused": 1, "unreadable": 1},
    }
    assert found["videos"]["found"] == 7
    assert found["videos"]["mined"] == 3, "film4, and both clips of one base name"
    assert not list((home.data / "scratch").rglob("media*")), "no bytes of what is not wanted stay"


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/", "http://localhost:1/a.mp4", "file:///etc/passwd"])
def test_a_private_address_is_refused_in_one_line(home: Home, site: SampleSite, url: str) -> None:
    done = home.type("run", "web.yaml", "--source", url)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert url in line
    assert home.status("web")["videos"]["found"] == len(TITLES) + 1


def _film(path: Path, number: int, title: str) -> Film:
    write_video(path, range(0, 2000, 40), gop=10 + number)
    return Film(name=path.stem, path=path, title=title, duration_s=2.0)


def _jobs(home: Home) -> list[Any]:
    with Ledger(home.server().ensure()).transaction() as cursor:
        rows = cursor.execute("SELECT stage, state, reason, failures FROM job").fetchall()
    home.server().release()
    return rows
