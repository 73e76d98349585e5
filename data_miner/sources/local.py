"""Videos of the local disk: folders, single files, and batch files that name others. Nothing is copied."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from data_miner.errors import UsageError
from data_miner.records import VideoInfo

# fmt: off
VIDEO_EXTENSIONS = frozenset((
    "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "h264", "h265", "hevc", "m2ts", "m2v", "m4v", "mjpeg",
    "mkv", "mov", "mp4", "mpe", "mpeg", "mpg", "mts", "mxf", "ogm", "ogv", "rm", "rmvb", "ts", "vob", "webm",
    "wmv", "y4m",
))
# fmt: on


def expand_folder(path: Path) -> list[VideoInfo]:
    """List the videos of a folder (subfolders too, hidden ones not) or a single file, sorted by path.

    Id and name come from the content, so a file that was moved or is there twice is one video, the first.
    UsageError when there is no such path or a single file cannot be read.
    """
    root = path.expanduser().absolute()
    if not root.exists():
        raise UsageError(f"{path}: no such file or folder")
    found: dict[str, VideoInfo] = {}
    for file in _files_in(root):
        video = local_video(file)
        found.setdefault(video.id, video)
    return list(found.values())


def local_video(file: Path) -> VideoInfo:
    """Describe one file; `extra` carries its sha256 and size, which cost a full read."""
    try:
        digest, size_bytes = content_digest(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    title = file.stem.encode("utf-8", "replace").decode()  # a name that is no UTF-8 cannot be stored
    return VideoInfo(
        id=f"local:{digest[:16]}",
        url=str(file) if str(file).isprintable() else file.as_uri(),
        site=None,
        title=" ".join(title.split()),
        extra={"sha256": digest, "size_bytes": size_bytes},
    )


def file_behind(url: str) -> Path:
    """Return the file of an absolute path or a file:// URL, whatever bytes its name is made of."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(url).path))) if url.startswith("file://") else Path(url)


def content_digest(file: Path) -> tuple[str, int]:
    """Hash a file's bytes: (sha256 in hex, size in bytes)."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return digest, opened.tell()


def read_batch_file(path: Path) -> list[str]:
    """Read addresses as yt-dlp -a does: one a line; lines with # ; ] in front are comments, ` #` ends one."""
    try:
        text = path.expanduser().read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{path}: the batch file cannot be read: {error.strerror}") from error
    return [line for line in map(_address_in, text.split("\n")) if line]


def _address_in(line: str) -> str:
    line = line.removeprefix("\ufeff").strip()
    return "" if line.startswith(("#", ";", "]")) else re.split(r"\s#", line, maxsplit=1)[0].rstrip()


def _files_in(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for file in sorted(root.rglob("*")):
        is_hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
        if not is_hidden and file.suffix.lower().lstrip(".") in VIDEO_EXTENSIONS and file.is_file():
            yield file
