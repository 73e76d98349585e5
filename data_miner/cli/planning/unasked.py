"""What sources that were not asked yet may bring. Local folders are looked at; no site is asked."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_miner.cli.planning.estimate import NOTHING, Number, Unasked
from data_miner.errors import JobError
from data_miner.sources.local import VIDEO_EXTENSIONS

_SEARCH = re.compile(r"ytsearch(?:date)?(\d+):")
_PROBED = 100  # files; some 10 ms each


def bring(sources: Iterable[Any], sample_videos: int | None) -> Unasked:
    """Count what rows (kind, locator, is_asked) of unasked sources may bring; a URL is one video."""
    unasked = [source for source in sources if not source.is_asked]
    folders = [Path(source.locator) for source in unasked if source.kind == "folder"]
    online = [_videos(source, sample_videos) for source in unasked if source.kind != "folder"]
    files = [file for folder in folders for file in _files(folder)]
    return Unasked(
        sources=len(unasked),
        online=sum(online, NOTHING),
        local=Number(len(files)),
        local_s=_film(files),
    )


def _videos(source: Any, sample_videos: int | None) -> Number:
    if found := _SEARCH.match(source.locator):
        return Number(int(found[1]), "guessed")
    if sample_videos and "127.0.0.1" in source.locator:
        return Number(sample_videos)
    return Number(1, "guessed")


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower().lstrip(".") in VIDEO_EXTENSIONS
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def _film(files: list[Path]) -> Number:
    """Seconds of film in all; measured when every file was probed."""
    from data_miner.media.probe import probe

    seconds = []
    for file in files[:_PROBED]:
        try:
            seconds.append(probe(file).duration_ms / 1000)
        except (JobError, OSError):
            continue  # not readable: it will be dead with a reason
    if len(files) <= _PROBED:
        return Number(sum(seconds))
    return Number(sum(seconds) / max(1, len(seconds)) * len(files), "guessed")
