"""Local folders and batch files, on a real disk."""

import hashlib
import io
import os
from pathlib import Path

import pytest
from yt_dlp.utils import read_batch_urls

from data_miner.errors import UsageError
from data_miner.sources.local import expand_folder, read_batch_file


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_folder_gives_its_videos_sorted_and_only_those(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/z.MKV", "a/notes.txt", ".hidden/c.mp4", "c.webm", ".d.mp4"):
        put(tmp_path / name, name.encode())
    videos = expand_folder(tmp_path)
    assert [Path(v.url).relative_to(tmp_path).as_posix() for v in videos] == ["a/z.MKV", "b.mp4", "c.webm"]
    assert [v.title for v in videos] == ["z", "b", "c"]
    assert all(v.site is None and Path(v.url).is_absolute() for v in videos)


def test_the_id_is_the_content_and_one_content_is_one_video(tmp_path: Path) -> None:
    put(tmp_path / "b.mp4", b"same")
    put(tmp_path / "a.mp4", b"same")
    put(tmp_path / "c.mp4", b"other")
    videos = expand_folder(tmp_path)
    assert [Path(v.url).name for v in videos] == ["a.mp4", "c.mp4"]
    assert videos[0].id == "local:" + hashlib.sha256(b"same").hexdigest()[:16]
    assert videos[0].extra == {"sha256": hashlib.sha256(b"same").hexdigest(), "size_bytes": 4}


def test_a_single_file_needs_no_video_extension(tmp_path: Path) -> None:
    assert len(expand_folder(put(tmp_path / "film.dat", b"x"))) == 1


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.mp4", b"x")
    monkeypatch.chdir(tmp_path)
    assert expand_folder(Path())[0].url == str(tmp_path / "a.mp4")


def test_a_file_name_that_is_no_text_gives_a_storable_title(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"do\xff\nor.mp4"), "wb") as file:  # noqa: PTH118, PTH123
        file.write(b"x")
    (video,) = expand_folder(tmp_path)
    assert video.title.encode() == b"do? or"


def test_a_missing_path_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        expand_folder(tmp_path / "nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        read_batch_file(tmp_path / "nothing.txt")


def test_a_batch_file_reads_as_ytdlp_reads_it(tmp_path: Path) -> None:
    text = (
        "\ufeffhttps://a.example/1\n# a comment\n; another\n] a third\n\n   https://a.example/2  # why\r\n"
        "https://a.example/3#part\nytsearch5:glass door\n\thttps://a.example/4\t#x\n"
    )
    path = put(tmp_path / "list.txt", text.encode())
    assert read_batch_file(path) == read_batch_urls(io.StringIO(text))
    assert read_batch_file(path)[:2] == ["https://a.example/1", "https://a.example/2"]
