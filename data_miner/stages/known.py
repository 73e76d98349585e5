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
    from data_miner.media.pictures import read_picture
    from data_miner.media.quality import measure_picture
    from data_miner.store.shards import ShardWriter

    with ShardWriter(shard) as writer:
        for ordinal, file in enumerate(files):
            try:
                _, phash = measure_picture(read_picture(file, _HASHED_PX))
                offset, size_bytes = writer.add(ordinal, jpeg.encode(read_picture(file, _KEPT_PX), _QUALITY))
            except NeverError as error:
                raise ConfigError(f"dedup.against: {error.detail}; mend it or take it out of the folder") from error
            yield KnownPicture(file.name, phash, offset, size_bytes)
        writer.close()


def _unique(folders: Sequence[Path]) -> dict[str, Path]:
    """sha256 -> the first file of this content."""
    from data_miner.media.pictures import pictures_in

    found: dict[str, Path] = {}
    for folder in folders:
        files = [folder] if folder.is_file() else list(pictures_in(folder))
        if not files:
            raise ConfigError(f"dedup.against: {folder} holds no picture (jpg, png, webp, bmp, tif)")
        for file in files:
            seen = file.stat()
            found.setdefault(_sha256(file, seen.st_size, seen.st_mtime_ns), file)
    return found


@lru_cache(maxsize=100_000)
def _sha256(file: Path, size_bytes: int, mtime_ns: int) -> str:
    """Hash a file once per process for as long as its size and time stand."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
