"""Brings the bytes of one format into one folder: resumed when cut, accepted only when the size agrees."""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data_miner.errors import LaterError, NeverError, SiteError
from data_miner.sources.client import Client
from data_miner.sources.faults import is_bot_page

# Whole files and fragments that yt-dlp fetches by itself, inside the guarded thread and without ffmpeg.
_WHOLE = ("http", "https")
_FRAGMENTS = ("m3u8", "m3u8_native", "http_dash_segments")
_LOCK_WAIT_S = 5.0
_PAGE_START = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml|script)", re.I)
_SNIFF_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of the file in a folder; kept beside it so that a later attempt resumes the same file."""

    format: str
    total_bytes: int | None = None
    etag: str = ""
    last_modified: str = ""
    done: bool = False


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder alone; the lock dies with its process. LaterError("busy") when another holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait_for(handle, folder)
        yield
    finally:
        os.close(handle)


class Download:
    """One file on its way into `folder`, which the caller has locked."""

    def __init__(self, info: Mapping[str, Any], folder: Path, max_bytes: int) -> None:
        protocol = str(info.get("protocol") or "http")
        if protocol not in _WHOLE + _FRAGMENTS:
            raise NeverError("unreadable", f"a stream by {protocol} is not fetched")
        if info.get("vcodec") == "none":
            raise NeverError("unreadable", "there is sound only, no video stream")
        self._info = dict(info)
        self._is_whole = protocol in _WHOLE
        self._max_bytes = max_bytes
        extension = str(info.get("ext") or "")
        self.path = folder / f"media.{extension if re.fullmatch(r'[a-z0-9]{1,8}', extension) else 'bin'}"
        self._note_path = folder / "note.json"
        self._note = self._kept_note()

    @property
    def is_here(self) -> bool:
        """Tell whether an earlier attempt brought all of it."""
        return self._note.done and self.path.is_file() and self.path.stat().st_size == self._note.total_bytes

    def run(self, client: Client, progress: Callable[[int], None]) -> Path:
        """Fetch what is missing and return the file's path; `progress` gets the bytes here so far."""
        client.traffic.before_media = self._add_condition
        client.traffic.on_media = self._check_answer
        self._write_note(self._note)  # before the first byte: parts without a note are thrown away
        client.ydl.add_progress_hook(lambda status: self._check_progress(status, progress))
        result = client.ydl.dl(str(self.path), self._info)
        if client.guard.expired:  # without an announced length a cut looks like an end
            raise TimeoutError
        if not (result[0] if isinstance(result, tuple) else result) or not self.path.is_file():
            raise LaterError("network", "yt-dlp stopped without a file")
        self._accept()
        return self.path

    def discard(self) -> None:
        """Remove every byte and the note."""
        for path in (*self.path.parent.glob("media.*"), self._note_path):
            path.unlink(missing_ok=True)

    def _kept_note(self) -> Note:
        wanted = Note(format=f"{self._info.get('format_id')} {self.path.name}")
        try:
            note = Note(**json.loads(self._note_path.read_text()))
        except (OSError, ValueError, TypeError):
            note = wanted
        if note.format == wanted.format and self._note_path.exists():
            return note
        self.discard()  # a part of which nothing is known, or of another format
        return wanted

    def _write_note(self, note: Note) -> None:
        self._note = note
        draft = self._note_path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(note)))
        draft.replace(self._note_path)

    def _add_condition(self, request: Any) -> None:
        """Ask for the rest only of the same file (RFC 9110 §13.1.5); a changed one comes whole."""
        validator = self._note.etag or self._note.last_modified
        if self._is_whole and validator and request.headers.get("Range"):
            request.headers["If-Range"] = validator

    def _check_answer(self, response: Any) -> None:
        if not self._is_whole:
            return
        total = _announced(response)
        if total is not None and total > self._max_bytes:
            raise NeverError("too_large", f"{total} bytes announced, {self._max_bytes} allowed")
        if total == 0:
            raise NeverError("unreadable", "an empty file")
        if response.status == 206 and self._note.total_bytes not in (None, total):
            self.discard()
            raise LaterError("network", "the file changed on the site while it was fetched; it starts again")
        etag = response.headers.get("ETag") or ""
        self._write_note(
            replace(
                self._note,
                total_bytes=total,
                etag="" if etag.startswith("W/") else etag,
                last_modified=response.headers.get("Last-Modified") or "",
            )
        )

    def _check_progress(self, status: Mapping[str, Any], progress: Callable[[int], None]) -> None:
        here = int(status.get("downloaded_bytes") or 0)
        if here > self._max_bytes:
            raise NeverError("too_large", f"more than {self._max_bytes} bytes")
        progress(here)

    def _accept(self) -> None:
        size = self.path.stat().st_size
        if self._is_whole and self._note.total_bytes not in (None, size):
            expected = self._note.total_bytes
            self.discard()
            raise LaterError("network", f"{size} bytes are here, {expected} were announced")
        with self.path.open("rb") as file:
            start = file.read(_SNIFF_BYTES)
        if not start or _PAGE_START.match(start):
            self.discard()
            if is_bot_page(start.decode("utf-8", "replace")):
                raise SiteError("bot_check", "a page that asks for a human came instead of the video")
            raise NeverError("unreadable", "a web page came instead of the video" if start else "an empty file")
        self._write_note(replace(self._note, total_bytes=size, done=True))


def _wait_for(handle: int, folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LaterError("busy", f"another process still writes to {folder}") from None
            time.sleep(0.05)


def _announced(response: Any) -> int | None:
    """Read the whole file's size from Content-Range or Content-Length; None when the server does not say."""
    in_range = re.fullmatch(r"bytes .*/(\d+)", response.headers.get("Content-Range") or "")
    if in_range:
        return int(in_range[1])
    length = response.headers.get("Content-Length") or ""
    is_plain = (response.headers.get("Content-Encoding") or "identity") == "identity"
    return int(length) if length.isdigit() and is_plain and response.status == 200 else None
