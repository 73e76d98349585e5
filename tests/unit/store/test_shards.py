"""A shard is a plain tar, with known offsets and fixed bytes."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from data_miner.store.shards import ShardWriter

PICTURES = {
    0: b"\xff\xd8first\xff\xd9",
    1005: bytes(range(256)) * 2,
    61_000: b"x" * 100_001,
    1_234_567_890: b"y",
}


def write(path: Path) -> tuple[dict[int, tuple[int, int]], str]:
    with ShardWriter(path) as shard:
        places = {pts_ms: shard.add(pts_ms, jpeg) for pts_ms, jpeg in PICTURES.items()}
        return places, shard.close()


def test_each_picture_lies_where_it_is_said_to(tmp_path: Path) -> None:
    places, _ = write(tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    for pts_ms, (offset, size_bytes) in places.items():
        assert data[offset : offset + size_bytes] == PICTURES[pts_ms]


def test_the_same_pictures_give_the_same_bytes_and_their_digest(tmp_path: Path) -> None:
    _, first = write(tmp_path / "a.tar")
    _, second = write(tmp_path / "b.tar")
    assert first == second == hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_python_reads_it_as_a_tar(tmp_path: Path) -> None:
    write(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames() == ["000000000.jpg", "000001005.jpg", "000061000.jpg", "1234567890.jpg"]
        for member, jpeg in zip(archive, PICTURES.values(), strict=True):
            opened = archive.extractfile(member)
            assert opened is not None
            assert opened.read() == jpeg
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")


def test_tar_reads_it(tmp_path: Path) -> None:
    if shutil.which("tar") is None:
        pytest.skip("no tar program here")
    write(tmp_path / "a.tar")
    done = subprocess.run(["tar", "-xOf", str(tmp_path / "a.tar"), "000061000.jpg"], capture_output=True, check=True)
    assert done.stdout == PICTURES[61_000]
    assert done.stderr == b""


def test_a_shard_without_pictures_is_an_empty_tar(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "a.tar") as shard:
        shard.close()
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames() == []


def test_pictures_out_of_order_are_refused(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "a.tar") as shard:
        shard.add(40, b"a")
        with pytest.raises(ValueError, match="ascend"):
            shard.add(40, b"b")
