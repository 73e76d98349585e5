"""Films for the sample site, made at once: any bytes will do where only the transport is tested."""

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Film:
    """What the sample site lists."""

    name: str
    path: Path
    title: str = "A glass door"
    description: str = "A door of glass. #lobby"
    tags: tuple[str, ...] = ("door", "glass")
    duration_s: float = 12.5
    uploader: str = "Sample Films"
    upload_date: str = "20240311"


def make_film(folder: Path, name: str, size_bytes: int = 300_000, **facts: object) -> Film:
    """Write a file that begins like an MP4 and goes on with noise of its own."""
    path = folder / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(crc32(name.encode())).bytes(size_bytes)
    path.write_bytes((b"\0\0\0\x20ftypisom" + noise)[:size_bytes])
    return Film(name=Path(name).name, path=path, **facts)  # type: ignore[arg-type]
