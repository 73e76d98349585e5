"""Artifacts behind an fsspec URL. Object stores show only complete objects, so puts are direct."""

import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data_miner.errors import DataMinerError, UnreachableError, UsageError

_CACHE_LIMIT_BYTES = 10_000_000_000


class RemoteBackend:
    """A store behind a URL, with a folder of downloads that all processes of the node share."""

    def __init__(self, url: str, cache: Path | None, cache_limit_bytes: int = _CACHE_LIMIT_BYTES) -> None:
        self._url = url
        self._cache = cache or Path(tempfile.gettempdir()) / f"data-miner-cache-{os.geteuid()}"
        self._limit_bytes = cache_limit_bytes
        self._place = without_secret(url)
        with self._reached():
            self._files, self._root = _filesystem(url)

    def put_file(self, key: str, source: Path, move: bool) -> None:
        """Upload a file."""
        with self._reached():
            self._make_parent(key)
            self._files.put_file(str(source), self._path(key))
        if move:
            source.unlink()

    def put_bytes(self, key: str, data: bytes) -> None:
        """Upload bytes."""
        with self._reached():
            self._make_parent(key)
            self._files.pipe_file(self._path(key), data)

    def read(self, key: str, offset: int, size: int | None) -> bytes:
        """Read a range with one request."""
        end = None if size is None else offset + size
        if end == offset:  # several stores answer an empty range with the whole object
            self.size(key)
            return b""
        with self._reached():
            return bytes(self._files.cat_file(self._path(key), start=offset or None, end=end))

    @contextmanager
    def open_local(self, key: str) -> Iterator[Path]:
        """Download unless the cache has it; the shared flock keeps the eviction of other processes away."""
        name = hashlib.sha256(f"{self._url}\0{key}".encode()).hexdigest() + Path(key).suffix
        target = self._cache / name
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._cache.stat().st_uid != os.geteuid():
            raise UnreachableError(f"{self._cache} belongs to another user; remove it or set the scratch folder")
        while (descriptor := _share(target)) is None:
            self._download(key, target)
        try:
            os.utime(target)
            yield target
        finally:
            os.close(descriptor)

    def size(self, key: str) -> int:
        """Ask for the size."""
        with self._reached():
            self._files.invalidate_cache()  # another node may have written or deleted since
            return int(self._files.size(self._path(key)))

    def delete(self, key: str) -> None:
        """Delete one object."""
        with self._reached(), suppress(FileNotFoundError):
            self._files.rm_file(self._path(key))

    def list(self, prefix: str) -> Iterator[str]:
        """List every object below a folder in the order of names."""
        with self._reached():
            self._files.invalidate_cache()
            try:
                found = self._files.find(self._path(prefix) if prefix else self._root)
            except FileNotFoundError:
                return
        start = self._root.rstrip("/") + "/"
        yield from sorted(path.removeprefix(start) for path in found if "/." not in path.removeprefix(self._root))

    def claim(self, name: str, data: bytes) -> bytes:
        """Write `name` if nobody has, and return what stands there."""
        try:
            return self.read(name, 0, None)
        except FileNotFoundError:
            self.put_bytes(name, data)
        return self.read(name, 0, None)

    def free_bytes(self) -> int | None:
        """Nobody knows."""
        return None

    def total_bytes(self) -> int | None:
        """Nobody knows."""
        return None

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def _make_parent(self, key: str) -> None:
        parent = self._path(key).rpartition("/")[0]
        self._files.makedirs(parent, exist_ok=True)  # nothing to do where folders are only names

    def _download(self, key: str, target: Path) -> None:
        self._evict(self._limit_bytes - self.size(key))
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # a part without it belongs to nobody and may be dropped
            with self._reached():
                self._files.get_file(self._path(key), str(part))
            if part.stat().st_size != self.size(key):
                raise UnreachableError(f"store {self._place} broke off while {key} was downloaded")
            with suppress(FileExistsError):
                os.link(part, target)  # never replaces a download that others hold
        finally:
            part.unlink(missing_ok=True)
            os.close(descriptor)

    def _evict(self, allowed_bytes: int) -> None:
        """Drop the downloads that were not used for longest until the rest fits; those in use stay."""
        entries = []
        for path in self._cache.iterdir():
            with suppress(FileNotFoundError):
                entries.append((path.stat(), path))
        held_bytes = sum(status.st_size for status, _ in entries)
        for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
            if held_bytes <= allowed_bytes:
                return
            if _dropped(path):
                held_bytes -= status.st_size

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, DataMinerError):
            raise
        except Exception as error:  # each fsspec implementation has its own kinds
            first = (str(error).strip().splitlines() or [""])[0]
            raise UnreachableError(
                f"store {self._place} does not answer: {type(error).__name__} {first}; check DATA_MINER_STORE"
            ) from error


def without_secret(url: str) -> str:
    """Return the URL without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _filesystem(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url)
    except ImportError as error:
        raise UsageError(f"store {url.partition('://')[0]}://: {error}") from error
    except ValueError as error:
        raise UsageError(f"store: {error}; write an absolute path or a URL such as s3://bucket/folder") from error
    return files, str(root)


def _share(path: Path) -> int | None:
    """Open a download with a shared flock; None when it is not there, or is just being dropped."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return descriptor


def _dropped(path: Path) -> bool:
    """Unlink a download that nobody uses."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
