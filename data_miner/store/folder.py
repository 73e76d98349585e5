"""Artifacts in a local or mounted folder: temporary name, fsync, rename, fsync of the folder."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_miner.errors import LaterError, UnreachableError

_PART = ".part"
_ATTEMPTS = 100  # of microseconds each; four threads that churn one folder needed up to 4


class FolderBackend:
    """A store in a folder; `.name.random.part` beside `name` is what a writer has not finished."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put_file(self, key: str, source: Path, move: bool) -> None:
        """Copy or, on one filesystem, move a file to `key`."""
        target = self._root / key
        if move and self._renamed(source, target):
            return
        self._write(target, lambda part: shutil.copyfile(source, part))
        if move:
            source.unlink()

    def put_bytes(self, key: str, data: bytes) -> None:
        """Write bytes to `key`."""
        self._write(self._root / key, lambda part: part.write_bytes(data))

    def read(self, key: str, offset: int, size: int | None) -> bytes:
        """Read a range."""
        with (self._root / key).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if size is None else size)

    @contextmanager
    def open_local(self, key: str) -> Iterator[Path]:
        """Give the artifact's own path."""
        self.size(key)
        yield self._root / key

    def size(self, key: str) -> int:
        """Stat one artifact."""
        status = (self._root / key).stat()
        if stat.S_ISDIR(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "a folder is no artifact", key)
        return status.st_size

    def delete(self, key: str) -> None:
        """Unlink the artifact, its unfinished parts and the folders that become empty."""
        target = self._root / key
        target.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            for entry in target.parent.iterdir():
                if _key_name(entry.name) == target.name:
                    entry.unlink(missing_ok=True)
        for folder in target.relative_to(self._root).parents[:-1]:
            try:
                (self._root / folder).rmdir()
            except OSError:  # not empty, or another process was faster
                break

    def list(self, prefix: str) -> Iterator[str]:
        """Walk a folder in the order of names."""
        for folder, folders, names in os.walk(self._root / prefix):
            folders.sort()
            for name in sorted({_key_name(n) for n in names if n[0] != "." or n.endswith(_PART)}):
                yield (Path(folder) / name).relative_to(self._root).as_posix()

    def claim(self, name: str, data: bytes) -> bytes:
        """Write `name` if nobody has, and return what stands there; the only call that creates the store."""
        self._root.mkdir(parents=True, exist_ok=True)
        target = self._root / name
        if not target.exists():
            part = _part_of(target)
            try:
                part.write_bytes(data)
                _sync(part)
                with suppress(FileExistsError):
                    os.link(part, target)  # unlike rename, fails when another process was faster
            finally:
                part.unlink(missing_ok=True)
            _sync(self._root)
        return target.read_bytes()

    def free_bytes(self) -> int | None:
        """Ask the disk."""
        return shutil.disk_usage(self._existing()).free

    def total_bytes(self) -> int | None:
        """Ask the disk."""
        return shutil.disk_usage(self._existing()).total

    def _existing(self) -> Path:
        return next(p for p in (self._root, *self._root.parents) if p.exists())

    def _renamed(self, source: Path, target: Path) -> bool:
        _sync(source)
        try:
            self._in_folder(target.parent, lambda: source.rename(target))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        _sync(target.parent)
        return True

    def _write(self, target: Path, fill: Callable[[Path], object]) -> None:
        part = _part_of(target)
        try:
            self._in_folder(target.parent, lambda: fill(part))
            _sync(part)
            part.rename(target)
            _sync(target.parent)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise LaterError("disk_full", f"store {self._root} is full") from error
            raise
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _in_folder(self, folder: Path, act: Callable[[], object]) -> None:
        """Make the folder and do it; again when a delete took the folder, empty for an instant, away."""
        for attempt in range(_ATTEMPTS):
            try:
                self._make_folder(folder)
                act()
                return
            except (FileNotFoundError, FileExistsError):  # mkdir says exists, and then it does not
                if attempt == _ATTEMPTS - 1:
                    raise

    def _make_folder(self, folder: Path) -> None:
        """Create folders below the root durably; never the root: an unmounted disk must not be written to."""
        if folder.is_dir():
            return
        if folder == self._root:
            raise UnreachableError(f"store {self._root} is gone; is it mounted on this node?")
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}{_PART}")


def _key_name(name: str) -> str:
    """`.name.random.part` is an unfinished `name`."""
    return name[1:].rsplit(".", 2)[0] if name[0] == "." and name.endswith(_PART) else name


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
