"""The real yt-dlp against the sample site: lists, pages, bytes, and everything that goes wrong with them."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_miner.errors import JobError, LaterError, NeverError, SiteError, SuspectError, UsageError
from data_miner.sample.site import SampleSite
from data_miner.sources import fetch
from data_miner.sources.base import Skipped, generic_id
from data_miner.sources.client import Options, js_runtime
from data_miner.sources.ytdlp import download, expand, metadata
from tests.support.films import Film, make_film


@pytest.fixture
def films(tmp_path: Path) -> list[Film]:
    return [make_film(tmp_path, "lobby"), make_film(tmp_path, "garage", title="Garage 🚗", tags=("car",))]


@pytest.fixture
def site(tmp_path: Path, films: list[Film]) -> Iterator[SampleSite]:
    with SampleSite(tmp_path, films) as site:
        yield site


@pytest.fixture
def options(site: SampleSite) -> Options:
    return Options(allow=frozenset({site.address}), socket_timeout_s=3)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return tmp_path / "job"


def fetch_film(url: str, job: Path, options: Options, **how: Any) -> Path:
    limits = {"max_height": 720, "max_bytes": 10_000_000, "max_seconds": 20.0, **how}
    return download(url, job, options=options, **limits)


# lists and pages


def test_a_feed_lists_its_videos_in_order_with_what_it_knows(site: SampleSite, options: Options) -> None:
    videos = expand(site.feed_url, options=options)
    assert [v.title for v in videos] == ["A glass door", "Garage 🚗", "Lost atrium"]
    first = videos[0]
    assert first.id == f"generic:{generic_id(site.watch_url('lobby'))}"
    assert (first.url, first.site, first.duration_s) == (site.watch_url("lobby"), site.address, 12.5)
    assert first.upload_date == "20240311"
    assert site.count() == 1, "a list costs one request, not one a video"


def test_a_limit_cuts_a_list(site: SampleSite, options: Options) -> None:
    assert len(expand(site.feed_url, options=options, limit=1)) == 1


def test_a_page_gives_what_a_verdict_needs_in_one_request(site: SampleSite, options: Options) -> None:
    info = metadata(site.watch_url("lobby"), options).info
    assert (info.title, info.uploader, info.duration_s) == ("A glass door", "Sample Films", 12.5)
    assert (info.tags, info.upload_date) == (("door", "glass"), "20240311")
    assert info.extra["description"] == "A door of glass. #lobby"
    assert [one.path for one in site.requests] == ["/watch/lobby.html"]
    json.dumps(dict(info.extra))


def test_page_and_list_agree_on_the_id(site: SampleSite, options: Options) -> None:
    listed = expand(site.feed_url, options=options)[0]
    single = expand(site.watch_url("lobby"), options=options)
    assert listed.id == metadata(listed.url, options).info.id == single[0].id


def test_two_urls_with_one_base_name_are_two_videos(site: SampleSite, options: Options) -> None:
    make_film(site.folder / "a", "clip")
    make_film(site.folder / "b", "clip")
    videos = [metadata(f"{site.url}/files/{folder}/clip.mp4", options).info for folder in "ab"]
    assert videos[0].title == videos[1].title == "clip"
    assert videos[0].id != videos[1].id


def test_hostile_titles_and_tags_are_only_text(tmp_path: Path, job: Path) -> None:
    title = "../../etc/passwd\n🚪 </script>\x00" + "x" * 600
    with SampleSite(tmp_path, [make_film(tmp_path, "evil", title=title, tags=("../x", "a\nb"))]) as site:
        options = Options(allow=frozenset({site.address}))
        listed = expand(site.feed_url, options=options)[0]
        info = metadata(site.watch_url("evil"), options).info
        path = fetch_film(site.watch_url("evil"), job, options)
    for video in (listed, info):
        assert video.title.startswith("../../etc/passwd 🚪") and len(video.title) <= 500
        assert not set(video.title) & {"\n", "\0"}
    assert info.tags == ("../x", "a b")
    assert path == job / "media.mp4"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.mp4", "job"]


def test_an_address_of_one_youtube_video_costs_no_request() -> None:
    (video,) = expand("https://youtu.be/3kX9f0aQbLs?t=83", options=Options())
    assert (video.id, video.site) == ("youtube:3kX9f0aQbLs", "youtube")
    assert video.url == "https://www.youtube.com/watch?v=3kX9f0aQbLs"


def test_an_empty_feed_is_no_error_and_a_refused_one_is(tmp_path: Path) -> None:
    with SampleSite(tmp_path, [], gone=()) as site:
        options = Options(allow=frozenset({site.address}))
        assert expand(site.feed_url, options=options) == []
        site.break_("429")
        with pytest.raises(SiteError, match="rate_limited"):
            expand(site.feed_url, options=options)


# bytes


def test_a_download_is_the_file_byte_for_byte(site: SampleSite, films: list[Film], options: Options, job: Path) -> None:
    seen: list[int] = []
    order: list[str] = []
    path = download(
        metadata(site.watch_url("lobby"), options),
        job,
        max_height=720,
        max_bytes=10_000_000,
        max_seconds=20,
        options=options,
        progress=seen.append,
        before_media=lambda: order.append(f"media after {site.count('/media/*')}"),
    )
    assert path.read_bytes() == films[0].path.read_bytes()
    assert seen == sorted(seen) and seen[-1] == path.stat().st_size
    assert order == ["media after 0"]
    assert [one.path for one in site.requests] == ["/watch/lobby.html", "/media/lobby.mp4"]


def test_a_finished_file_is_not_asked_for_again(site: SampleSite, options: Options, job: Path) -> None:
    page = metadata(site.watch_url("lobby"), options)
    limits: dict[str, Any] = {
        "max_height": 720,
        "max_bytes": 10_000_000,
        "max_seconds": 20.0,
        "options": options,
    }
    first = download(page, job, **limits)
    assert download(page, job, before_media=lambda: pytest.fail("no bytes are missing"), **limits) == first
    assert site.count("/media/*") == 1


def test_a_cut_download_is_resumed_where_it_stopped(
    site: SampleSite, films: list[Film], options: Options, job: Path
) -> None:
    site.break_("404", "/media/*")
    site.break_("truncated", "/media/*", times=1, keep_bytes=200_000)
    with pytest.raises((JobError, Skipped)):
        fetch_film(site.watch_url("lobby"), job, options)
    site.mend()
    site.requests.clear()
    path = fetch_film(site.watch_url("lobby"), job, options)
    assert path.read_bytes() == films[0].path.read_bytes()
    ranges = [one.range for one in site.requests if one.path.startswith("/media")]
    assert len(ranges) == 1 and ranges[0] and 0 < int(ranges[0][6:-1]) <= 200_000


def test_a_cut_is_healed_within_the_same_call(site: SampleSite, films: list[Film], options: Options, job: Path) -> None:
    site.break_("truncated", "/media/*", times=1)
    assert fetch_film(site.watch_url("lobby"), job, options).read_bytes() == films[0].path.read_bytes()


def test_a_truncated_body_is_never_accepted(site: SampleSite, options: Options, job: Path) -> None:
    site.break_("truncated", "/media/*", keep_bytes=1000)
    with pytest.raises(LaterError, match="network"):
        fetch_film(site.watch_url("lobby"), job, options)
    assert not (job / "media.mp4").exists()


def test_a_file_that_changed_between_two_attempts_is_not_glued(
    site: SampleSite, films: list[Film], options: Options, job: Path
) -> None:
    site.break_("404", "/media/*")
    site.break_("truncated", "/media/*", times=1, keep_bytes=100_000)
    with pytest.raises((JobError, Skipped)):
        fetch_film(site.watch_url("lobby"), job, options)
    site.mend()
    films[0].path.write_bytes(films[0].path.read_bytes()[::-1])
    assert fetch_film(site.watch_url("lobby"), job, options).read_bytes() == films[0].path.read_bytes()


def test_a_part_of_unknown_origin_is_not_built_upon(
    site: SampleSite, films: list[Film], options: Options, job: Path
) -> None:
    job.mkdir()
    (job / "media.mp4.part").write_bytes(b"something else" * 100)
    assert fetch_film(site.watch_url("lobby"), job, options).read_bytes() == films[0].path.read_bytes()


def test_an_endless_stream_is_cut_at_the_byte_cap(site: SampleSite, options: Options, job: Path) -> None:
    site.break_("endless", "/media/*")
    with pytest.raises(NeverError, match="too_large"):
        fetch_film(site.watch_url("lobby"), job, options, max_bytes=1_000_000)
    assert sum(p.stat().st_size for p in job.iterdir()) < 1_000, "the space is given back"


@pytest.mark.parametrize("fault", ["endless", "slow"])
def test_a_stream_without_end_in_time_is_cut(site: SampleSite, options: Options, job: Path, fault: str) -> None:
    site.break_(fault, "/media/*")
    begun = time.monotonic()
    with pytest.raises(NeverError, match="too_large"):
        fetch_film(site.watch_url("lobby"), job, options, max_bytes=2**40, max_seconds=1.0)
    assert time.monotonic() - begun < 8
    assert not (job / "media.mp4").exists()


def test_a_file_announced_too_large_costs_no_bytes(site: SampleSite, options: Options, job: Path) -> None:
    with pytest.raises(NeverError, match="300000 bytes announced"):
        fetch_film(site.watch_url("lobby"), job, options, max_bytes=299_999)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"<!DOCTYPE html><html><body>Hello</body></html>", "unreadable"), (b"", "unreadable")],
)
def test_a_web_page_or_nothing_instead_of_a_film(tmp_path: Path, job: Path, data: bytes, reason: str) -> None:
    film = make_film(tmp_path, "fake")
    film.path.write_bytes(data)
    with SampleSite(tmp_path, [film]) as site, pytest.raises(NeverError) as caught:
        fetch_film(site.watch_url("fake"), job, Options(allow=frozenset({site.address})))
    assert caught.value.reason == reason
    assert not list(job.glob("media.*"))


def test_two_processes_never_write_one_folder(
    site: SampleSite, options: Options, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_LOCK_WAIT_S", 0.1)
    job.mkdir()
    holder = os.open(job / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(LaterError, match="another process"):
        fetch_film(site.watch_url("lobby"), job, options)
    os.close(holder)
    fetch_film(site.watch_url("lobby"), job, options)


@pytest.fixture
def stream(site: SampleSite) -> Path:
    """A film in four pieces behind an HLS playlist, as many sites serve it."""
    folder = site.folder / "hls"
    folder.mkdir()
    pieces = [make_film(folder, f"piece{i}", 40_000).path.rename(folder / f"{i}.ts") for i in range(4)]
    lines = "".join(f"#EXTINF:3.0,\n{piece.name}\n" for piece in pieces)
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    (folder / "film.m3u8").write_text(f"{head}{lines}#EXT-X-ENDLIST\n")
    return folder


def test_a_film_in_pieces_is_put_together_without_ffmpeg(
    site: SampleSite, stream: Path, options: Options, job: Path
) -> None:
    page = metadata(f"{site.url}/files/hls/film.m3u8", options)
    assert page.info.duration_s == 12.0
    path = download(page, job, max_height=720, max_bytes=10**7, max_seconds=20, options=options)
    assert path.read_bytes() == b"".join((stream / f"{i}.ts").read_bytes() for i in range(4))


def test_a_missing_piece_makes_no_film_and_what_came_is_kept(
    site: SampleSite, stream: Path, options: Options, job: Path
) -> None:
    site.break_("500", "*/2.ts")
    with pytest.raises(LaterError, match="network"):
        fetch_film(f"{site.url}/files/hls/film.m3u8", job, options)
    site.mend()
    site.requests.clear()
    path = fetch_film(f"{site.url}/files/hls/film.m3u8", job, options)
    assert path.stat().st_size == 160_000
    assert (site.count("*/0.ts"), site.count("*/1.ts"), site.count("*/2.ts")) == (0, 0, 1)


def test_a_film_in_pieces_is_cut_at_the_byte_cap(site: SampleSite, stream: Path, options: Options, job: Path) -> None:
    with pytest.raises(NeverError, match="too_large"):
        fetch_film(f"{site.url}/files/hls/film.m3u8", job, options, max_bytes=100_000)


def test_sound_without_a_picture_is_unreadable(site: SampleSite, options: Options, job: Path) -> None:
    page = json.dumps({
        "@context": "https://schema.org", "@type": "AudioObject", "name": "a song",
        "contentUrl": f"{site.url}/files/song.mp4", "encodingFormat": "audio/mp4",
    })  # fmt: skip
    (site.folder / "song.html").write_text(f'<html><script type="application/ld+json">{page}</script></html>')
    make_film(site.folder, "song")
    with pytest.raises(NeverError, match="sound only"):
        fetch_film(f"{site.url}/files/song.html", job, options)
    assert not site.count("*.mp4")


# refusals


@pytest.mark.parametrize(
    ("fault", "pattern", "kind", "reason"),
    [
        ("404", "*", Skipped, "gone"),
        ("429", "/watch/*", SiteError, "rate_limited"),
        ("429", "/media/*", SiteError, "rate_limited"),
        ("403", "/watch/*", SuspectError, "extractor_broken"),
        ("403", "/media/*", SuspectError, "extractor_broken"),
        ("500", "/watch/*", LaterError, "network"),
        ("500", "/media/*", LaterError, "network"),
        ("bot_page", "/watch/*", SiteError, "bot_check"),
        ("bot_page", "/media/*", SiteError, "bot_check"),
    ],
)
def test_each_refusal_has_its_word(
    site: SampleSite,
    options: Options,
    job: Path,
    fault: str,
    pattern: str,
    kind: type[Exception],
    reason: str,
) -> None:
    site.break_(fault, pattern)
    with pytest.raises(kind) as caught:
        fetch_film(site.watch_url("lobby"), job, options)
    assert getattr(caught.value, "reason", None) == reason
    assert "\n" not in str(caught.value)
    site.mend()
    assert fetch_film(site.watch_url("lobby"), job, options).exists(), "after the fault the same call works"


def test_a_refused_video_costs_the_site_few_requests(site: SampleSite, options: Options, job: Path) -> None:
    site.break_("403", "/media/*")
    with pytest.raises(SuspectError):
        fetch_film(site.watch_url("lobby"), job, options)
    assert site.count("/media/*") == 1


def test_a_site_that_is_not_there_is_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(LaterError, match="network"):
        metadata(f"http://{address}/a.mp4", Options(allow=frozenset({address})))


@pytest.mark.parametrize("pattern", ["/watch/*", "/media/*", "/feed.xml"])
def test_a_redirect_to_a_private_address_is_refused(
    site: SampleSite, options: Options, job: Path, pattern: str
) -> None:
    with SampleSite(site.folder, []) as private:
        site.break_("redirect", pattern, target=f"{private.url}/files/lobby.mp4")
        with pytest.raises(NeverError) as caught:
            expand(site.feed_url, options=options)
            fetch_film(site.watch_url("lobby"), job, options)
        assert caught.value.reason == "refused"
        assert private.address in caught.value.detail
        assert not private.requests


def test_a_page_cannot_send_the_download_to_a_private_address(tmp_path: Path, job: Path) -> None:
    with SampleSite(tmp_path, []) as private:
        page = f'<html><video src="{private.url}/files/secret.mp4"></video></html>'
        (tmp_path / "page.html").write_text(page)
        (tmp_path / "secret.mp4").write_bytes(b"secret")
        with SampleSite(tmp_path, []) as site, pytest.raises(NeverError) as caught:
            fetch_film(f"{site.url}/files/page.html", job, Options(allow=frozenset({site.address})))
        assert caught.value.reason == "refused"
        assert not private.requests


def test_without_leave_loopback_is_not_asked_at_all(site: SampleSite) -> None:
    for call in (lambda: expand(site.feed_url, options=Options()), lambda: metadata(site.url, Options())):
        with pytest.raises(NeverError, match="refused"):
            call()
    assert not site.requests


def test_an_endless_page_is_cut(site: SampleSite, films: list[Film], options: Options) -> None:
    films[0].path.write_bytes(b"<html>" + b" " * 1000)
    (site.folder / "page.html").write_bytes(b"<html>" + b" " * 1000)
    site.break_("endless", "/files/*")
    small = Options(allow=options.allow, page_bytes=2_000_000, page_s=10)
    with pytest.raises(NeverError, match="too_large"):
        metadata(f"{site.url}/files/page.html", small)


def test_a_page_that_drips_is_cut_in_time(site: SampleSite, options: Options) -> None:
    site.break_("slow", "/files/*", delay_s=0.5)
    (site.folder / "page.html").write_bytes(b"<html>" + b" " * 1_000_000)
    begun = time.monotonic()
    with pytest.raises(LaterError, match="still not done after"):
        metadata(f"{site.url}/files/page.html", Options(allow=options.allow, page_s=1))
    assert time.monotonic() - begun < 8


# surroundings


def test_nothing_is_written_outside_the_folder(
    site: SampleSite, options: Options, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home)
    fetch_film(site.watch_url("lobby"), job, options)
    assert not list(home.iterdir())
    assert sorted(p.name for p in job.iterdir()) == ["lock", "media.mp4", "note.json"]


def test_cookies_come_from_the_environment_and_are_not_written_back(
    site: SampleSite, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = tmp_path / "cookies.txt"
    jar.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret\n")
    jar.chmod(0o400)
    before = jar.stat().st_mtime_ns
    name = "DATA_MINER_COOKIES_" + site.address.replace(".", "_").replace(":", "_")
    monkeypatch.setenv(name, str(jar))
    page = metadata(site.watch_url("lobby"), options)
    assert [cookie.value for cookie in page.cookies] == ["secret"]
    assert jar.stat().st_mtime_ns == before
    monkeypatch.setenv(name, str(tmp_path / "missing.txt"))
    with pytest.raises(UsageError, match=name):
        metadata(site.watch_url("lobby"), options)


def test_the_javascript_runtime_is_found_without_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = js_runtime()
    assert found is not None and found[1].startswith("deno ")


def test_downloads_run_side_by_side_in_one_process(
    site: SampleSite, films: list[Film], options: Options, tmp_path: Path
) -> None:
    done: dict[str, Path] = {}

    def fetch_one(name: str) -> None:
        done[name] = fetch_film(site.watch_url(name), tmp_path / f"job-{name}", options)

    threads = [threading.Thread(target=fetch_one, args=(film.name,)) for film in films]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: path.read_bytes() for name, path in done.items()} == {f.name: f.path.read_bytes() for f in films}
