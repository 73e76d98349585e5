"""Bytes from a URL into a file: resumed after a cut or a kill, accepted only when size and hash agree.

Which files make a model is in `hub`. Messages carry no URL, header or token: a signed URL is a secret too.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase

from data_miner.errors import ModelError
from data_miner.models import reach
from data_miner.models.reach import unreachable, why_not

CONNECT_S = 10.0
STALL_S = 20.0  # without a byte
TRIES = 5  # in a row that bring nothing new: 7.5 s of pauses
PAUSE_S = 0.5  # after the first of them; doubled each time
CHUNK_BYTES = 64 * 1024  # what a cut may lose

Refusal = Callable[[int, Mapping[str, str]], ModelError]  # status and headers, in a person's words


@dataclass(frozen=True, slots=True)
class File:
    """A file as its server announces it. A repository's small files have a git blob id, its large ones a sha256."""

    name: str
    size_bytes: int | None = None  # None: the answer says
    sha256: str | None = None
    blob: str | None = None

    @property
    def tag(self) -> str:
        """Tells parts of this file from parts of another version of it."""
        return (self.sha256 or self.blob or "asset")[:12]


class Source:
    """Where files come from: a session that keeps its token from every other host."""

    def __init__(self, name: str, token: str | None, refusal: Refusal) -> None:
        from data_miner import __version__

        self._name = name  # of the model, for messages
        self._session = requests.Session()
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": f"data-miner/{__version__}"})
        self._session.auth = _Bearer(token)
        self._refusal = refusal

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def announce(self, url: str) -> int | None:
        """Bytes behind a URL, by a HEAD request. Raises ModelError."""
        try:
            answer = reach.within(partial(self._session.head, url, allow_redirects=True, timeout=reach.ANSWER_S))
        except (requests.RequestException, TimeoutError, UnicodeError) as error:
            raise unreachable(self._name, url, error) from None
        if answer.status_code >= 400:
            raise self._refusal(answer.status_code, answer.headers)
        return _announced(answer, 0)

    def fetch(self, url: str, file: File, folder: Path, at: Callable[[int], None]) -> Path:
        """Bring one file into `folder`; `at` gets the bytes of it that are here. Raises ModelError.

        What a cut or a kill left is gone on with. The file has its name only when size and hash agree.
        """
        target, part = folder / file.name, folder / f"{file.name}.{file.tag}.part"
        if target.is_file() and fault(target, file) is None:
            at(target.stat().st_size)
            return target
        at(_size(part))
        total = self._whole(url, file, part, at)
        wrong = fault(part, File(file.name, total, file.sha256, file.blob))
        if wrong is not None:
            part.unlink(missing_ok=True)  # nothing in it can be trusted
            raise ModelError(f"{self._label(file)}: {wrong}; thrown away, the same command fetches it again")
        part.replace(target)
        return target

    def _whole(self, url: str, file: File, part: Path, at: Callable[[int], None]) -> int | None:
        """Ask until all is here; returns the size the server announced, None when it never did."""
        total, tries = file.size_bytes, 0
        while total is None or _size(part) < total:
            before = _size(part)
            try:
                total = self._more(url, file, part, total, at)
                if total is None:
                    return None  # the end of an answer without a length is the only end there is
                why = "cut it off"
            except requests.RequestException as error:
                why = why_not(error)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                raise ModelError(f"{part.parent}: cannot be written: {why}") from None
            tries = 0 if _size(part) > before else tries + 1
            if tries == TRIES:
                where = f"at {_size(part)} of {total or 'unknown'} bytes"
                raise ModelError(
                    f"{self._label(file)}: the server {why} {where}; they stay, and the same command goes on from there"
                )
            if tries:
                time.sleep(PAUSE_S * 2 ** (tries - 1))
        return total

    def _more(self, url: str, file: File, part: Path, total: int | None, at: Callable[[int], None]) -> int | None:
        """One request for what is missing; returns the whole file's size when it is known."""
        start = _size(part)
        wanted = {"Range": f"bytes={start}-"} if start else {}
        with self._session.get(url, headers=wanted, stream=True, timeout=(CONNECT_S, STALL_S)) as answer:
            if answer.status_code == 416 and start:  # the part is no beginning of this file
                part.unlink()
                raise requests.ConnectionError("cut off")
            if answer.status_code >= 500 or answer.status_code in (408, 429):
                raise requests.ConnectionError(f"status {answer.status_code}")
            if answer.status_code >= 400:
                raise self._refusal(answer.status_code, answer.headers)
            start = start if _starts_at(answer, start) else 0
            announced = _announced(answer, start)
            if file.size_bytes is not None and announced not in (None, file.size_bytes):
                part.unlink(missing_ok=True)
                raise ModelError(
                    f"{self._label(file)}: the server sends {announced} bytes, its listing says {file.size_bytes}; "
                    "nothing is kept, try again later"
                )
            _append(answer, part, start, announced or total, at)
        return announced or total

    def _label(self, file: File) -> str:
        return self._name if file.name == self._name else f"{self._name}: {file.name}"


def fault(path: Path, file: File) -> str | None:
    """What is wrong with a file's size or hash; None: it is the one announced."""
    size_bytes = _size(path)
    if file.size_bytes is not None and size_bytes != file.size_bytes:
        return f"{size_bytes} bytes came, {file.size_bytes} were announced"
    if size_bytes == 0 and file.size_bytes != 0:
        return "nothing came"
    if file.sha256 is not None and _hash(path, "sha256") != file.sha256:
        return "its sha256 is not the one announced"
    # git names a blob by this header and its bytes: git-scm.com/book/en/v2/Git-Internals-Git-Objects
    is_small = file.sha256 is None and file.blob is not None
    if is_small and _hash(path, "sha1", b"blob %d\0" % size_bytes) != file.blob:
        return "its hash is not the one announced"
    return None


class _Bearer(AuthBase):
    """The token, or explicitly none: requests would else take a password for the host from ~/.netrc.

    requests itself drops the header when a redirect leads to another host.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _append(answer: Any, part: Path, start: int, total: int | None, at: Callable[[int], None]) -> None:
    here = start
    with part.open("r+b" if part.exists() else "wb") as stream:
        stream.truncate(start)
        stream.seek(start)
        for chunk in answer.iter_content(CHUNK_BYTES):
            stream.write(chunk)
            here += len(chunk)
            at(here)
            if total is not None and here > total:
                raise requests.ConnectionError("more than was announced")


def _starts_at(answer: Any, start: int) -> bool:
    wanted = f"bytes {start}-"
    return answer.status_code == 206 and str(answer.headers.get("Content-Range", "")).startswith(wanted)


def _announced(answer: Any, start: int) -> int | None:
    """The whole file's size as the answer has it; a compressed answer's length is not the file's."""
    length = answer.headers.get("Content-Length", "")
    if answer.headers.get("Content-Encoding", "identity") != "identity" or not length.isdigit():
        return None
    return start + int(length)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _hash(path: Path, kind: str, before: bytes = b"") -> str:
    state = hashlib.new(kind, before)
    with path.open("rb") as stream:
        while block := stream.read(CHUNK_BYTES):
            state.update(block)
    return state.hexdigest()
