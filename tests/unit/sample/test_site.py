"""The sample site, asked by a plain HTTP client."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from data_miner.sample.site import SampleSite
from tests.support.films import Film, make_film


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return make_film(tmp_path, "lobby", title='A </script> & "glass" <door>')


@pytest.fixture
def site(tmp_path: Path, film: Film) -> Iterator[SampleSite]:
    with SampleSite(tmp_path, [film]) as site:
        yield site


def ask(url: str, method: str = "GET", **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, url, headers=named, timeout=5, allow_redirects=False)


def test_pages_list_every_video_and_the_one_that_is_gone(site: SampleSite) -> None:
    assert "glass" in ask(site.url).text
    feed = ask(site.feed_url).text
    assert feed.count("<item>") == 2 and "lost_atrium" in feed
    assert ask(site.watch_url("lost_atrium")).status_code == 404


def test_a_hostile_title_does_not_break_out_of_the_page(site: SampleSite) -> None:
    page = ask(site.watch_url("lobby")).text
    assert page.count("</script>") == 1
    assert ask(site.feed_url).text.count("<title>") == 3


def test_media_come_whole_or_in_ranges(site: SampleSite, film: Film) -> None:
    data, url = film.path.read_bytes(), site.media_url("lobby")
    whole = ask(url)
    assert (whole.status_code, whole.content) == (200, data)
    part = ask(url, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, data[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(data)}"
    assert ask(url, Range="bytes=-50").content == data[-50:]
    assert ask(url, Range=f"bytes={len(data) - 5}-").content == data[-5:]
    beyond = ask(url, Range=f"bytes={len(data)}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(data)}")


def test_a_range_of_a_changed_file_gives_the_whole(site: SampleSite, film: Film) -> None:
    url = site.media_url("lobby")
    mark = ask(url).headers["ETag"]
    assert ask(url, Range="bytes=10-", If_Range=mark).status_code == 206
    film.path.write_bytes(b"another film")
    assert ask(url, Range="bytes=10-", If_Range=mark).content == b"another film"


def test_head_has_headers_and_no_body(site: SampleSite, film: Film) -> None:
    answer = ask(site.media_url("lobby"), "HEAD")
    assert answer.headers["Content-Length"] == str(film.path.stat().st_size) and not answer.content


def test_files_beside_the_films_are_served_and_nothing_outside(site: SampleSite, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "clip.mp4").write_bytes(b"clip")
    assert ask(f"{site.url}/files/a/clip.mp4").content == b"clip"
    for path in (
        "/files/../../etc/passwd",
        "/files/%2e%2e/%2e%2e/etc/passwd",
        "/media//etc/passwd",
        "/files//etc",
    ):
        assert ask(site.url + path).status_code == 404


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("403", 403), ("404", 404), ("500", 500)])
def test_a_fault_meets_the_paths_it_names_until_mended(site: SampleSite, kind: str, status: int) -> None:
    site.break_(kind, "/media/*")
    assert ask(site.media_url("lobby")).status_code == status
    assert ask(site.watch_url("lobby")).status_code == 200
    site.mend()
    assert ask(site.media_url("lobby")).status_code == 200


def test_a_fault_can_wear_off(site: SampleSite) -> None:
    site.break_("500", times=2)
    assert [ask(site.url).status_code for _ in range(3)] == [500, 500, 200]


def test_a_truncated_body_announces_more_than_it_sends(site: SampleSite, film: Film) -> None:
    site.break_("truncated", "/media/*", keep_bytes=1000)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask(site.media_url("lobby"))


def test_an_endless_stream_ends_with_its_client(site: SampleSite, film: Film) -> None:
    site.break_("endless", "/media/*")
    with requests.get(site.media_url("lobby"), stream=True, timeout=5) as answer:
        assert "Content-Length" not in answer.headers
        assert sum(len(c) for c, _ in zip(answer.iter_content(2**16), range(30), strict=False)) > 3 * 300_000


def test_a_slow_answer_is_slow(site: SampleSite) -> None:
    site.break_("slow", "/media/*", delay_s=0.02)
    begun = time.monotonic()
    ask(site.media_url("lobby"))
    assert time.monotonic() - begun > 0.02 * 300_000 / 16_384


def test_bot_page_and_redirect(site: SampleSite) -> None:
    site.break_("bot_page", "/media/*")
    assert "not a bot" in ask(site.media_url("lobby")).text
    site.break_("redirect", "/media/*")
    answer = ask(site.media_url("lobby"))
    assert (answer.status_code, answer.headers["Location"][:23]) == (302, "http://169.254.169.254/")


def test_requests_are_remembered_and_counted(site: SampleSite) -> None:
    ask(site.media_url("lobby"), Range="bytes=5-")
    ask(site.media_url("lobby"), "HEAD")
    assert (site.count("/media/*"), site.count("/media/*", "HEAD"), site.count("/watch/*")) == (1, 1, 0)
    assert site.requests[0].range == "bytes=5-"


def test_an_unknown_fault_is_an_error_at_once(site: SampleSite) -> None:
    with pytest.raises(ValueError, match="no such fault"):
        site.break_("earthquake")


def test_a_stopped_site_frees_its_port(tmp_path: Path, film: Film) -> None:
    site = SampleSite(tmp_path, [film]).start()
    port = int(site.address.rpartition(":")[2])
    site.stop()
    with SampleSite(tmp_path, [film], port=port) as again:
        assert ask(again.url).status_code == 200
