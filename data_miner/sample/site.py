"""A small video site on loopback: index, feed, watch pages and media with ranges, and faults to switch on.

Real yt-dlp reads it through its generic extractor. It renders nothing; it serves files that exist.
"""

import fnmatch
import hashlib
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote, unquote, urlsplit

from data_miner.sample.faults import FAULTS, Fault
from data_miner.sample.pages import Listed, page_at

_CHUNK_BYTES = 16 * 1024
_BOT_PAGE = "<html><title>One moment</title><p>Sign in to confirm you’re not a bot.</p></html>"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    range: str | None
    at_s: float  # time.monotonic()


class SampleSite:
    """Serves `videos` at `url` between start() and stop(), or inside a with block.

    `folder` may hold further files, served under /files/. `gone` names videos that the feed lists and no page
    has. Port 0 picks a free one. Nothing listens beyond loopback.
    """

    def __init__(
        self, folder: Path, videos: Sequence[Listed], port: int = 0, gone: Sequence[str] = ("lost_atrium",)
    ) -> None:
        self.folder = folder
        self.videos = {video.name: video for video in videos}
        self.gone = tuple(gone)
        self.requests: list[Asked] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.site = self
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """host:port, as a person allows it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The site's root, without a slash at its end."""
        return f"http://{self.address}"

    @property
    def feed_url(self) -> str:
        """The RSS feed, which yt-dlp reads as a playlist."""
        return f"{self.url}/feed.xml"

    def watch_url(self, name: str) -> str:
        """The page of one video."""
        return f"{self.url}/watch/{quote(name)}.html"

    def media_url(self, name: str) -> str:
        """The file of one video."""
        return f"{self.url}/media/{quote(name)}{self.videos[name].path.suffix}"

    def start(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port; streams in flight end."""
        self.stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def break_(self, kind: str, pattern: str = "*", times: int | None = None, **how: Any) -> None:
        """Switch a fault on; `how` are further fields of Fault. The latest that matches a path wins."""
        if kind not in FAULTS:
            raise ValueError(f"no such fault: {kind}; one of {', '.join(FAULTS)}")
        with self._lock:
            self._faults.insert(0, Fault(kind, pattern, times, **how))

    def mend(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()

    def count(self, pattern: str = "*", method: str = "GET") -> int:
        """Count the requests for paths that match the pattern."""
        return sum(one.method == method and fnmatch.fnmatch(one.path, pattern) for one in list(self.requests))

    def take_fault(self, path: str) -> Fault | None:
        """Find the fault that meets a request for `path`, and use it up by one."""
        with self._lock:
            for fault in self._faults:
                if fnmatch.fnmatch(path, fault.pattern) and fault.left != 0:
                    fault.left = None if fault.left is None else fault.left - 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: SampleSite

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away in the middle is what tests do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    _types: ClassVar = {
        ".mp4": "video/mp4",
        ".mkv": "video/x-matroska",
        ".html": "text/html",
        ".xml": "text/xml",
    }

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; the site keeps its own list of requests."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        site = self.server.site
        site.requests.append(Asked(self.command, path, self.headers.get("Range"), time.monotonic()))
        fault = site.take_fault(path)
        if fault is not None and fault.kind not in ("slow", "truncated", "endless"):
            self._refuse(fault)
        elif page := page_at(site, path):
            self._send_text(*page)
        elif (file := _file(site, path)) is not None:
            self._send_file(file, fault)
        else:
            self._send_text("<h1>This video has been removed</h1>", "text/html", 404)

    def _refuse(self, fault: Fault) -> None:
        if fault.kind == "bot_page":
            self._send_text(_BOT_PAGE, "text/html")
        elif fault.kind == "redirect":
            self._send_text("", "text/html", 302, Location=fault.target)
        else:
            self._send_text(f"<h1>{fault.kind}</h1>", "text/html", int(fault.kind))

    def _send_text(self, text: str, content_type: str, status: int = 200, **headers: str) -> None:
        body = text.encode()
        self._start(status, f"{content_type}; charset=utf-8", len(body), headers)
        if self.command == "GET":
            self.wfile.write(body)

    def _start(self, status: int, content_type: str, length: int | None, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _send_file(self, file: Path, fault: Fault | None) -> None:
        size, headers = file.stat().st_size, _validators(file)
        content_type = self._types.get(file.suffix.lower(), "application/octet-stream")
        if fault is not None and fault.kind == "endless":
            self._start(200, content_type, None, headers)
            return self._send_for_ever(file)
        span = self._span(size, headers)
        if span is None:
            return self._send_text("", "text/html", 416, Content_Range=f"bytes */{size}")
        first, last, is_part = span
        if is_part:
            headers["Content_Range"] = f"bytes {first}-{last}/{size}"
        self._start(206 if is_part else 200, content_type, last - first + 1, headers)
        if self.command == "GET":
            self._send_bytes(file, first, last - first + 1, fault)
        return None

    def _span(self, size: int, validators: dict[str, str]) -> tuple[int, int, bool] | None:
        """Read Range and If-Range: (first, last, is it a part), None when nothing of it is there."""
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        condition = self.headers.get("If-Range")
        if not wanted or not any(wanted.groups()) or (condition and condition not in validators.values()):
            return 0, size - 1, False
        if not wanted[1]:
            return max(0, size - int(wanted[2])), size - 1, True
        first, last = int(wanted[1]), min(size - 1, int(wanted[2] or size - 1))
        return (first, last, True) if first <= last else None

    def _send_bytes(self, file: Path, first: int, length: int, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "truncated":
            length = min(length, length // 2 if fault.keep_bytes is None else fault.keep_bytes)
            self.close_connection = True
        with file.open("rb") as opened:
            opened.seek(first)
            while length > 0 and not self.server.site.stopping.is_set():
                if fault is not None and fault.kind == "slow":
                    self.server.site.stopping.wait(fault.delay_s)
                chunk = opened.read(min(_CHUNK_BYTES, length))
                self.wfile.write(chunk)
                length -= len(chunk)

    def _send_for_ever(self, file: Path) -> None:
        self.wfile.write(file.read_bytes())
        while not self.server.site.stopping.is_set():
            self.wfile.write(bytes(_CHUNK_BYTES))
            time.sleep(0.001)


def _file(site: SampleSite, path: str) -> Path | None:
    """Find the file behind a path; names are compared, never joined, so nothing outside is reached."""
    kind, _, name = path.removeprefix("/").partition("/")
    if kind == "media":
        return next((v.path for v in site.videos.values() if f"{v.name}{v.path.suffix}" == name), None)
    if kind == "files":
        found = (p for p in site.folder.rglob("*") if p.is_file())
        return next((p for p in found if p.relative_to(site.folder).as_posix() == name), None)
    return None


def _validators(file: Path) -> dict[str, str]:
    status = file.stat()
    mark = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
    return {
        "Accept_Ranges": "bytes",
        "ETag": f'"{mark}"',
        "Last_Modified": formatdate(status.st_mtime, usegmt=True),
    }
