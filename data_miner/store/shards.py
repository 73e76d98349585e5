"""The form of a shard: one plain USTAR tar of a segment's JPEGs, the same bytes for the same pictures.

Writes and says where each picture lies; putting the file into the store atomically is not done here.
"""

import hashlib
import tarfile
from pathlib import Path
from types import TracebackType

_BLOCK_BYTES = 512
_RECORD_BYTES = 10_240  # tar's record; readers expect the file to end on one


class ShardWriter:
    """Write pictures in ascending order of time; each is then readable by one range read of its JPEG."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._last_pts_ms = -1

    def add(self, pts_ms: int, jpeg: bytes) -> tuple[int, int]:
        """Append one picture; return (offset, size) in bytes of the JPEG itself within the file."""
        if pts_ms <= self._last_pts_ms:
            raise ValueError(f"{pts_ms} ms after {self._last_pts_ms} ms: pictures of a shard ascend in time")
        self._last_pts_ms = pts_ms
        member = tarfile.TarInfo(f"{pts_ms:09d}.jpg")
        member.size = len(jpeg)
        # TarInfo's own defaults fix the rest: mtime 0, uid and gid 0, no owner names, mode 0644
        self._write(member.tobuf(tarfile.USTAR_FORMAT))
        offset = self._size_bytes
        self._write(jpeg)
        self._write(bytes(-len(jpeg) % _BLOCK_BYTES))
        return offset, len(jpeg)

    def close(self) -> str:
        """End the archive and return the sha256 of the whole file in hex."""
        self._write(bytes(2 * _BLOCK_BYTES))
        self._write(bytes(-self._size_bytes % _RECORD_BYTES))
        self._file.close()
        return self._digest.hexdigest()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._size_bytes += len(data)
