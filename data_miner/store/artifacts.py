"""The store as the rest of the code sees it: bytes under keys, written whole or not at all.

Where the bytes lie is folder.py's and remote.py's matter; what they mean is the ledger's.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from data_miner.errors import DataMinerError, UnreachableError, UsageError
from data_miner.store.folder import FolderBackend
from data_miner.store.remote import RemoteBackend, without_secret

ID_NAME = ".data-miner-store"
_KEY_BYTES, _NAME_BYTES = 1024, 240  # S3's limit; a file name's 255 less what a part's name adds


class Backend(Protocol):
    """What a folder and a remote store both can."""

    def put_file(self, key: str, source: Path, move: bool) -> None: ...
    def put_bytes(self, key: str, data: bytes) -> None: ...
    def read(self, key: str, offset: int, size: int | None) -> bytes: ...
    def open_local(self, key: str) -> AbstractContextManager[Path]: ...
    def size(self, key: str) -> int: ...
    def delete(self, key: str) -> None: ...
    def list(self, prefix: str) -> Iterator[str]: ...
    def claim(self, name: str, data: bytes) -> bytes: ...
    def free_bytes(self) -> int | None: ...
    def total_bytes(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Store:
    """Artifacts below an absolute path, `file://` or any fsspec URL such as `s3://bucket/folder`.

    Holds nothing open, so it is pickled to workers as it is. A key is a relative path of plain names; what
    was committed under it is never written again, which allows caching. Readers of a missing key get
    FileNotFoundError; a store that does not answer is UnreachableError, a full disk LaterError("disk_full").
    """

    url: str
    cache: str = ""  # folder for downloads of a remote store; "" = below the system's temporary folder

    @property
    def is_remote(self) -> bool:
        """Whether the artifacts lie behind a URL that every node can reach."""
        return _folder_of(self.url) is None

    @property
    def place(self) -> str:
        """Name the store for people, without user or password."""
        if not self.is_remote:
            return str(_folder_of(self.url))
        return without_secret(self.url)

    def put_file(self, key: str, source: Path, *, move: bool = False) -> None:
        """Store a local file under `key`; `move` gives the file away: no copy on one filesystem."""
        self._backend().put_file(checked(key), source, move)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store bytes under `key`."""
        self._backend().put_bytes(checked(key), data)

    def read(self, key: str, offset: int = 0, size: int | None = None) -> bytes:
        """Read `size` bytes from `offset` on (None: to the end); fewer when the artifact ends before."""
        return self._backend().read(checked(key), offset, size)

    def open_local(self, key: str) -> AbstractContextManager[Path]:
        """Give a local path to read from while the `with` block lasts: the artifact itself, or a download."""
        return self._backend().open_local(checked(key))

    def exists(self, key: str) -> bool:
        """Say whether `key` was stored completely."""
        try:
            self._backend().size(checked(key))
        except FileNotFoundError:
            return False
        return True

    def size(self, key: str) -> int:
        """Return the size in bytes."""
        return self._backend().size(checked(key))

    def delete(self, key: str) -> None:
        """Delete `key` and what a killed writer left of it; nothing happens when there is none."""
        self._backend().delete(checked(key))

    def list(self, prefix: str = "") -> Iterator[str]:
        """Give every key below the folder `prefix` that takes space, also those that are not complete."""
        return self._backend().list(checked(prefix) if prefix else "")

    def identity(self) -> str | None:
        """Return the store's id, None when it has none (new, or the disk is not mounted)."""
        try:
            return self._backend().read(ID_NAME, 0, None).decode().strip()
        except FileNotFoundError:
            return None

    def claim_identity(self, fresh: str) -> str:
        """Create the store and give it the id `fresh`, unless it has one; return the one it has."""
        return self._backend().claim(ID_NAME, f"{fresh}\n".encode()).decode().strip()

    def ensure_identity(self, expected: str) -> None:
        """Raise UnreachableError unless this is the store the ledger knows: not a bare mount."""
        found = self.identity()
        if found is None:
            raise UnreachableError(f"store {self.place} has no id file; is it mounted on this node?")
        if found != expected:
            raise UnreachableError(
                f"store {self.place} is {found}, the ledger belongs to {expected}; check DATA_MINER_STORE"
            )

    def free_bytes(self) -> int | None:
        """Return the free bytes of the store's disk, None where nobody knows."""
        return self._backend().free_bytes()

    def total_bytes(self) -> int | None:
        """Return the size in bytes of the store's disk, None where nobody knows."""
        return self._backend().total_bytes()

    def _backend(self) -> Backend:
        return _backend(self.url, self.cache)


def checked(key: str) -> str:
    """Return `key` if it is safe in every store; ids and titles from the network pass through here."""
    parts = key.split("/")
    safe = all(
        part and part.isprintable() and "\\" not in part and part[0] != "." and len(part.encode()) <= _NAME_BYTES
        for part in parts
    )
    if not safe or len(key.encode()) > _KEY_BYTES:
        raise DataMinerError(f"artifact key {key[:80]!r} is not a relative path of plain names")
    return key


@cache
def _backend(url: str, cache_folder: str) -> Backend:
    if folder := _folder_of(url):
        return FolderBackend(folder)
    return RemoteBackend(url, Path(cache_folder) if cache_folder else None)


def _folder_of(url: str) -> Path | None:
    scheme, found, path = url.partition("://")
    if not found:
        path = url
    elif scheme not in ("file", "local"):
        return None
    if not path.startswith("/"):
        raise UsageError(f"store {url!r} must be an absolute path or a URL such as s3://bucket/folder")
    return Path(path)
