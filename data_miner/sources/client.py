"""One yt-dlp object set up our way: quiet, nothing in the home folder, few retries, every request seen."""

import io
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_miner.errors import NeverError, UsageError
from data_miner.sources.guard import ConnectionGuard
from data_miner.sources.safety import check_url

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How to ask the web. Times in seconds; the pace between videos is not here, the ledger keeps it."""

    allow: frozenset[str] = frozenset()  # "host" or "host:port" of private places a person named
    socket_timeout_s: float = 15.0
    retries: int = 2  # of one media request, at once; a job's own retries are the ledger's
    page_s: float = 120.0  # one metadata call
    listing_s: float = 600.0  # one search, playlist or channel
    page_bytes: int = 64 * 2**20  # a page larger than this is no page
    sleep_requests_s: float = 0.0  # between page requests of one call, as yt-dlp's --sleep-requests
    cache: Path | None = None  # for what yt-dlp learns of a site's player; None = nowhere
    extra: dict[str, Any] = field(default_factory=dict)  # yt-dlp's own parameters, for a person who knows them


class Messages:
    """yt-dlp's logger interface: all of it goes to our log at debug level; warnings are kept besides."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """Take progress talk."""
        log.debug("%s", message)

    def warning(self, message: str) -> None:
        """Take a warning and keep it."""
        self.warnings.append(message)
        log.debug("warning: %s", message)

    def error(self, message: str) -> None:
        """Take an error; it is raised as an exception besides."""
        log.debug("error: %s", message)


class Traffic:
    """Stands in for yt-dlp's `urlopen`: checks each URL, caps pages, shows media answers to `on_media`."""

    def __init__(self, send: Callable[[Any], Any], options: Options) -> None:
        self._send = send
        self._options = options
        self.before_media: Callable[[Any], None] | None = None  # may add headers to the request
        self.on_media: Callable[[Any], None] | None = None  # sees the response before its first byte is read

    def __call__(self, request: Any) -> Any:
        """Send a request of yt-dlp (an object or a URL) and return its response."""
        from yt_dlp.networking import Request
        from yt_dlp.networking.exceptions import HTTPError

        request = Request(request) if isinstance(request, str) else request
        check_url(request.url, self._options.allow)
        if self.before_media is not None:
            self.before_media(request)
        try:
            response = self._send(request)
        except HTTPError as error:
            _capped(error.response, self._options.page_bytes)
            raise
        if self.on_media is None:
            return _capped(response, self._options.page_bytes)
        self.on_media(response)
        return response


@dataclass(frozen=True, slots=True)
class Client:
    """A yt-dlp object with what watches it."""

    ydl: Any
    guard: ConnectionGuard
    traffic: Traffic
    messages: Messages


@contextmanager
def open_client(options: Options, site: str, seconds: float, **params: Any) -> Iterator[Client]:
    """Open yt-dlp for one call of at most `seconds`, with the site's cookies, in a guarded thread."""
    from yt_dlp import YoutubeDL

    messages = Messages()
    with ConnectionGuard(options.allow, seconds) as guard:
        ydl = YoutubeDL({**_fixed_params(options), "logger": messages, **cookies_of(site), **options.extra, **params})
        try:
            # curl and websockets would connect outside the interpreter's sight or need no page of ours.
            for name in ("CurlCFFI", "Websockets"):
                ydl._request_director.handlers.pop(name, None)
            traffic = Traffic(ydl.urlopen, options)
            ydl.urlopen = traffic
            yield Client(ydl, guard, traffic, messages)
        finally:
            ydl.close()


def cookies_of(site: str) -> dict[str, Any]:
    """Read the cookie file that DATA_MINER_COOKIES_<SITE> names, into memory: yt-dlp would write it back.

    A site `my.host:8080` is asked for as DATA_MINER_COOKIES_MY_HOST_8080.
    """
    name = "DATA_MINER_COOKIES_" + re.sub(r"[^A-Z0-9]+", "_", site.upper())
    path = os.environ.get(name)
    if not path:
        return {}
    try:
        return {"cookiefile": io.StringIO(Path(path).read_text(encoding="utf-8"))}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} names a cookie file that cannot be read: {error}") from error


def js_runtime() -> tuple[str, str] | None:
    """Find the JavaScript runtime that yt-dlp would use, as (path, version); None when none is new enough.

    The `deno` of the wheel is found beside this interpreter, whether or not that folder is on PATH.
    """
    from yt_dlp import YoutubeDL

    with YoutubeDL({"quiet": True, "cachedir": False, "js_runtimes": _JS_RUNTIMES}) as ydl:
        for runtime in ydl._js_runtimes.values():
            info = runtime and runtime.info
            if info and info.supported:
                return f"{info.path}", f"{info.name} {info.version}"
    return None


_JS_RUNTIMES: dict[str, dict[str, Any]] = {"deno": {}, "node": {}}


def _fixed_params(options: Options) -> dict[str, Any]:
    return {
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "cachedir": str(options.cache) if options.cache else False,
        "socket_timeout": options.socket_timeout_s,
        "retries": options.retries,
        "fragment_retries": options.retries,
        "extractor_retries": 1,
        "file_access_retries": 1,
        "retry_sleep_functions": {
            "http": _half_seconds,
            "fragment": _half_seconds,
            "extractor": _half_seconds,
        },
        "sleep_interval_requests": options.sleep_requests_s,
        "skip_unavailable_fragments": False,  # a film with holes is not the film
        "concurrent_fragment_downloads": 1,  # more would leave the guarded thread
        "hls_prefer_native": True,
        "ffmpeg_location": f"{os.devnull}/ffmpeg",  # never start a binary that connects by itself
        "external_downloader": None,
        "enable_file_urls": False,
        "allow_playlist_files": False,
        "updatetime": False,
        "buffersize": 2**16,
        "js_runtimes": _JS_RUNTIMES,
    }


def _half_seconds(n: int) -> float:
    return 0.5 * n


def _capped(response: Any, limit_bytes: int) -> Any:
    """Make a response raise NeverError("too_large") once more than `limit_bytes` of it were asked for."""
    read, taken = response.read, 0

    def capped_read(amount: int | None = None) -> bytes:
        nonlocal taken
        whole = amount is None or amount < 0
        data: bytes = read(limit_bytes - taken + 1) if whole else read(amount)
        taken += len(data)
        if taken > limit_bytes:
            raise NeverError("too_large", f"a page of more than {limit_bytes >> 20} MB")
        return data

    response.read = capped_read
    return response
