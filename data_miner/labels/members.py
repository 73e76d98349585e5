"""Files of a folder or a zip by name, read in memory under caps. Nothing is ever written to disk.

Sizes in a zip's headers are claims: what is read is counted.
"""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from data_miner.errors import DataMinerError, UsageError
from data_miner.labels.base import short

MOST_MEMBERS = 1_000_000
MOST_BYTES = 1_000_000_000  # of all labels together
MOST_TEXT_BYTES = 4_000_000  # of one label file: 80,000 boxes
MOST_JSON_BYTES = 100_000_000  # of one COCO file: 200,000 pictures with three boxes each, read in 1.2 GB of memory
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz")
_LINK_MODE = 0o170000


class Members:
    """Names with forward slashes, in order, and their bytes."""

    def __init__(self, names: Sequence[str], source: "_Folder | _Zip") -> None:
        self.names, self._source, self._read_bytes = tuple(sorted(names)), source, 0

    @property
    def archives(self) -> list[str]:
        """Members that are archives themselves; they are not looked into."""
        return [name for name in self.names if name.lower().endswith(_ARCHIVES)]

    def read(self, name: str, most_bytes: int = MOST_TEXT_BYTES) -> bytes:
        """Read one member whole; DataMinerError when it is larger than allowed or cannot be read."""
        most_bytes = min(most_bytes, MOST_BYTES - self._read_bytes)
        with _told(name), self._source.open(name) as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise DataMinerError(f"{short(name)}: larger than any label file ({most_bytes:,} bytes are allowed here)")
        self._read_bytes += len(data)
        return data

    def text(self, name: str, most_bytes: int = MOST_TEXT_BYTES) -> str:
        """Read one member as UTF-8."""
        try:
            return self.read(name, most_bytes).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataMinerError(f"{short(name)}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return (self._root / name).open("rb")


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return self._archive.open(name)


@contextmanager
def members_of(path: Path) -> Iterator[Members]:
    """Open a folder or a zip; DataMinerError when it is neither, or when a zip holds what no honest tool writes."""
    if path.is_dir():
        yield Members(_below(path), _Folder(path))
    elif path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise DataMinerError(
                f"{path}: no zip that can be read ({short(str(error))}); give a folder or a zip"
            ) from error
        with archive:
            yield Members(_safe(archive, path), _Zip(archive))
    else:
        raise UsageError(f"{path}: no such folder or zip")


def _below(root: Path) -> list[str]:
    names: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [(Path(folder) / name).relative_to(root).as_posix() for name in files if not name.startswith(".")]
        if len(names) > MOST_MEMBERS:
            raise DataMinerError(f"{root}: more than {MOST_MEMBERS:,} files; name the folder of the labels")
    return [name for name in names if (root / name).is_file()]  # a pipe would be waited for


def _safe(archive: zipfile.ZipFile, path: Path) -> list[str]:
    """Names of files, after a look at every entry: one that is out of place makes the whole zip suspect."""
    names: dict[str, None] = {}
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        raise DataMinerError(f"{path.name}: {len(entries):,} entries; at most {MOST_MEMBERS:,} are read")
    for entry in entries:
        name = entry.filename
        if "\\" in entry.orig_filename or re.match(r"/|[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
            raise DataMinerError(f"{path.name}: entry {short(name)!r} would lie outside its folder; refused")
        if stat.S_ISLNK(entry.external_attr >> 16 & _LINK_MODE):
            raise DataMinerError(f"{path.name}: entry {short(name)!r} is a link; refused")
        if entry.flag_bits & 0x1:
            raise DataMinerError(f"{path.name}: entry {short(name)!r} is encrypted; make a zip without a password")
        if name in names:
            raise DataMinerError(f"{path.name}: entry {short(name)!r} is there twice; refused")
        if not entry.is_dir() and not _is_clutter(name):
            names[name] = None
    return list(names)


def _is_clutter(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """A member that cannot be read is one line."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataMinerError(f"{short(name)}: damaged in the zip ({short(str(error))})") from error
    except OSError as error:
        raise DataMinerError(f"{short(name)}: cannot be read: {(error.strerror or str(error)).lower()}") from error
