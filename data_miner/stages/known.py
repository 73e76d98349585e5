"""Pictures never to mine again (`dedup.against`): named by their content, hashed once, kept in the store."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from data_miner.errors import ConfigError, NeverError
from data_miner.ledger import known
from data_miner.ledger.connection import Ledger
from data_miner.ledger.known import KnownPicture
from data_miner.store.artifacts import Store

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_KEPT_PX, _QUALITY = 640, 92  # for embedding: backbones look at 224 to 518 px
_HASHED_PX = 1280  # as extract.max_side has it; the hash's own plane is 640 wide


def digest_of(folders: Sequence[Path]) -> str:
    """16 hex digits over the pictures in all folders; names and places do not count. Raises ConfigError."""
    from data_miner.media.quality import RECIPE

    contents = sorted(_unique(folders))
    return hashlib.sha256("\n".join([str(RECIPE), *contents]).encode()).hexdigest()[:16]


def keep(ledger: Ledger, store: Store, folders: Sequence[Path]) -> int:
    """Read, hash and store the pictures, unless that was done; returns how many there are. Raises ConfigError."""
    digest, files = digest_of(folders), _unique(folders)
    with ledger.transaction() as cursor:
        if known.is_kept(cursor, digest):
            return len(files)
    key = f"known/{digest}.tar"
    with tempfile.TemporaryDirectory() as scratch:
        shard = Path(scratch) / "known.tar"
        pictures = list(_written(shard, [files[content] for content in sorted(files)]))
        store.put_file(key, shard, move=True)
    ledger.with_retry(lambda cursor: known.keep(cursor, digest, key, pictures), deadline_s=60)
    return len(files)


def _written(shard: Path, files: Sequence[Path]) -> Iterator[KnownPicture]:
    from data_miner.media import jpeg
    from data_miner.media.quality import measure_picture
    from data_miner.media.still import read_still, scaled
    from data_miner.store.shards import ShardWriter

    with ShardWriter(shard) as writer:
        for ordinal, file in enumerate(files):
            try:
                rgb = scaled(read_still(file), _HASHED_PX)
            except (NeverError, OSError) as error:
                why = error.detail if isinstance(error, NeverError) else str(error.strerror)
                raise ConfigError(f"dedup.against: {file}: {why}; mend it or take it out of the folder") from error
            _, phash = measure_picture(rgb)
            offset, size_bytes = writer.add(ordinal, jpeg.encode(scaled(rgb, _KEPT_PX), _QUALITY))
            yield KnownPicture(file.name, phash, offset, size_bytes)
        writer.close()


def _unique(folders: Sequence[Path]) -> dict[str, Path]:
    """sha256 -> the first file of this content."""
    found: dict[str, Path] = {}
    for folder in folders:
        files = [folder] if folder.is_file() else list(_pictures_in(folder))
        if not files:
            raise ConfigError(f"dedup.against: {folder} holds no picture ({' '.join(sorted(_SUFFIXES))})")
        for file in files:
            seen = file.stat()
            found.setdefault(_sha256(file, seen.st_size, seen.st_mtime_ns), file)
    return found


def _pictures_in(folder: Path) -> Iterator[Path]:
    """Every picture below a folder, by path; hidden files and folders are passed over."""
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in _SUFFIXES and not is_hidden and path.is_file():
            yield path


@lru_cache(maxsize=100_000)
def _sha256(file: Path, size_bytes: int, mtime_ns: int) -> str:
    """Hash a file once per process for as long as its size and time stand."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
