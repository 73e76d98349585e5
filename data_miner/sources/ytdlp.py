"""The web through yt-dlp as a library: what a source lists, what a page says, the bytes of one stream.

Pace, verdicts and retries of jobs are the callers'; every failure leaves here as a reason word.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_miner.errors import JobError, LaterError, NeverError, SiteError, SuspectError
from data_miner.records import VideoInfo
from data_miner.sources.base import Skipped, family_of_extractor, site_of, video_id
from data_miner.sources.client import Client, Options, open_client
from data_miner.sources.entries import video_of
from data_miner.sources.faults import Outcome, causes, classify, is_blocked, is_bot_page
from data_miner.sources.fetch import Download, locked
from data_miner.sources.safety import check_url

# One stream with a picture, muxed or not, nothing to merge: so no ffmpeg. `?` lets unknown heights pass.
_ANY_FORMAT = "bestvideo/best/bestvideo*/best*"
_NESTING = 2  # a channel lists its tabs, a tab its videos


@dataclass(frozen=True, slots=True)
class Page:
    """What a video's page said: the record to store, and yt-dlp's own answer, for the download."""

    info: VideoInfo
    raw: Mapping[str, Any] = field(repr=False)
    cookies: tuple[Any, ...] = field(default=(), repr=False)


def expand(locator: str, *, options: Options, limit: int | None = None) -> list[VideoInfo]:
    """List the videos of a search ("ytsearch40:…"), playlist, channel, feed or URL, each once, in order.

    No result is an empty list; a refusal raises (SiteError, SuspectError, LaterError, or Skipped for a source
    that is private or gone). The address of one YouTube video is answered without asking the site.
    """
    known = _known_by_its_url(locator)
    if known is not None:
        return [known]
    if "://" in locator:
        check_url(locator, options.allow)
    params: dict[str, Any] = {"extract_flat": "in_playlist", "playlistend": limit, "format": _ANY_FORMAT}
    with open_client(options, site_of(locator), options.listing_s, **params) as client, _reasons(client):
        answer = client.ydl.extract_info(locator, download=False)
        found: dict[str, VideoInfo] = {}
        for video in _videos_in(client, answer, _NESTING):
            found.setdefault(video.id, video)
        if not found:
            _raise_if_refused(client)
    return list(found.values())[:limit]


def metadata(url: str, options: Options) -> Page:
    """Ask a video's page; raises Skipped, SiteError, SuspectError, LaterError or NeverError.

    `Page.info.id` is of what the page turned out to be: the page of a blog that embeds a YouTube video gives
    `youtube:…`. Who listed it under another id keeps that one.
    """
    check_url(url, options.allow)
    params: dict[str, Any] = {"noplaylist": True, "playlist_items": "1", "format": _ANY_FORMAT}
    with open_client(options, site_of(url), options.page_s, **params) as client, _reasons(client):
        answer = client.ydl.extract_info(url, download=False)
        if answer and answer.get("_type") in ("playlist", "multi_video"):
            answer = next(filter(None, answer.get("entries") or ()), None)
        if not answer:
            raise NeverError("unreadable", f"no video on {url}")
        return Page(video_of(answer), answer, tuple(client.ydl.cookiejar))


def download(
    video: str | Page,
    folder: Path,
    *,
    max_height: int,
    max_bytes: int,
    max_seconds: float,
    options: Options,
    progress: Callable[[int], None] = lambda here_bytes: None,
    before_media: Callable[[], None] = lambda: None,
) -> Path:
    """Fetch one video stream of at most `max_height` px into `folder` and return its path.

    The folder belongs to one job: a part of an earlier attempt is resumed, a whole file returned at once and
    without `before_media`, which runs right before the site is asked for media. Where the site has nothing so
    low, the lowest it has is taken (as yt-dlp -S res:N). Raises what `metadata` raises; "too_large" past
    either cap; LaterError("network") when fewer bytes came than were announced (they stay, to be resumed).
    """
    page = metadata(video, options) if isinstance(video, str) else video
    with locked(folder):
        job = Download(choose_format(page, max_height, options), folder, max_bytes)
        if job.is_here:
            return job.path
        before_media()
        with (
            _room_made_by(job),
            open_client(options, page.info.site or "", max_seconds) as client,
            _reasons(client, is_media=True),
        ):
            for cookie in page.cookies:
                client.ydl.cookiejar.set_cookie(cookie)
            return job.run(client, progress)


def choose_format(page: Page, max_height: int, options: Options) -> dict[str, Any]:
    """Let yt-dlp pick from the formats of a page that was read before; asks nobody."""
    lower = f"[height<=?{max_height}]"
    selector = f"bestvideo{lower}[ext=mp4]/bestvideo{lower}/best{lower}/bestvideo*{lower}/{_ANY_FORMAT}"
    # Standard range and 30 fps lose nothing at a few frames a second; h264 decodes on every machine and card.
    params = {"format": selector, "format_sort": [f"res:{max_height}", "hdr:sdr", "fps:30", "vcodec:h264"]}
    raw = {name: value for name, value in page.raw.items() if not name.startswith("requested_")}
    with open_client(options, page.info.site or "", options.page_s, **params) as client, _reasons(client):
        chosen: dict[str, Any] = client.ydl.process_ie_result(raw, download=False)
        return chosen


@contextmanager
def _room_made_by(job: Download) -> Iterator[None]:
    """Give the space back when the file will never be accepted."""
    try:
        yield
    except NeverError:
        job.discard()
        raise


@contextmanager
def _reasons(client: Client, is_media: bool = False) -> Iterator[None]:
    """Turn whatever yt-dlp raises into a reason word."""
    try:
        yield
    except (JobError, Skipped):
        raise
    except Exception as error:
        raise _reason_of(client, error, is_media) from error


def _reason_of(client: Client, error: Exception, is_media: bool) -> Outcome:
    outcome = classify(error)
    if client.guard.expired:
        cut = f"still not done after {client.guard.seconds:.0f} s"
        return NeverError("too_large", cut) if is_media else LaterError("network", cut)
    refused = client.guard.refused
    if refused and (refused in str(error) or outcome.reason in ("network", "extractor_broken")):
        return NeverError("refused", refused)
    if outcome.reason in ("unreadable", "extractor_broken", "rate_limited", "network"):
        return _bot_check_behind(client, error) or outcome
    return outcome


def _bot_check_behind(client: Client, error: Exception) -> SiteError | None:
    """Look at the page behind a failure once more: a bot check may come as any status, or as a plain page."""
    chain: dict[str, Any] = {type(one).__name__: one for one in causes(error)}
    try:
        if unsupported := chain.get("UnsupportedError"):
            body = client.ydl.urlopen(unsupported.url).read(2**16)
        elif refused := chain.get("HTTPError"):
            body = refused.response.read(2**16)
        else:
            return None
    except Exception:  # the page cannot be read again: the failure keeps its own word
        return None
    if not is_bot_page(body.decode("utf-8", "replace")):
        return None
    return SiteError("bot_check", "the site asks to confirm that a human is there")


def _videos_in(client: Client, answer: Mapping[str, Any] | None, nesting: int) -> Iterator[VideoInfo]:
    kind = (answer or {}).get("_type") or "video"
    if not answer:
        return
    if kind in ("playlist", "multi_video"):
        page_url = answer.get("webpage_url")
        for entry in filter(None, answer.get("entries") or ()):
            is_video = (entry.get("_type") or "video") == "video"
            if is_video and entry.get("webpage_url") == page_url:  # several players on one page
                yield video_of(entry, url=entry.get("url") or entry["formats"][-1]["url"])
            else:
                yield from _videos_in(client, entry, nesting)
    elif kind in ("url", "url_transparent") and nesting and _is_listing(client.ydl, answer):
        inner = client.ydl.extract_info(answer["url"], download=False, ie_key=answer.get("ie_key"))
        yield from _videos_in(client, inner, nesting - 1)
    else:
        yield video_of(answer)


def _is_listing(ydl: Any, entry: Mapping[str, Any]) -> bool:
    key = str(entry.get("ie_key") or "")
    if key in ("YoutubeTab", "YoutubePlaylist"):
        return True
    return bool(key) and ydl.get_info_extractor(key).is_single_video(entry["url"]) is False


def _known_by_its_url(locator: str) -> VideoInfo | None:
    """Name a single YouTube video by its URL: thousands of lines of a batch file cost the site no request."""
    if site_of(locator) != "youtube" or "://" not in locator:
        return None
    from yt_dlp.extractor import gen_extractor_classes

    extractor = next(ie for ie in gen_extractor_classes() if ie.suitable(locator))
    native_id = extractor.get_temp_id(locator)
    if extractor.ie_key() != "Youtube" or not native_id:
        return None
    url = f"https://www.youtube.com/watch?v={native_id}"
    return VideoInfo(video_id("Youtube", native_id, url), url, family_of_extractor(extractor))


def _raise_if_refused(client: Client) -> None:
    """Tell "0 results" from "blocked": yt-dlp only warns when a page of a search was refused."""
    for warning in client.messages.warnings:
        if is_blocked(warning):
            outcome = classify(warning)
            raise (outcome if isinstance(outcome, JobError) else SuspectError("extractor_broken", outcome.detail))
