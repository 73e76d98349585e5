"""Versions: whole or not at all, hard links for what did not change, the same bytes after any kill."""

import dataclasses
import random
import subprocess
import sys
from pathlib import Path

import pytest

from data_miner.config.schema import Export
from data_miner.errors import DataMinerError, UsageError
from data_miner.export.base import content_hash
from data_miner.export.versions import FORMATS, latest_version, write_copy, write_version
from data_miner.records import Box, ExportImage
from tests.support.datasets import CLASSES, image_of, images_of, jpeg_of, tree_bytes

BOTH = ["yolo", "coco"]

SLOW_WRITER = """
import sys, time
from pathlib import Path
from data_miner.export.versions import write_version
from tests.support.datasets import CLASSES, images_of, jpeg_of
def slow(image):
    print(image.name, flush=True)
    time.sleep(0.002)
    return jpeg_of(image)
write_version(Path(sys.argv[1]), images_of(6, 5), CLASSES, ["yolo", "coco"], slow)
print("done", flush=True)
"""


def test_the_first_version_is_v1_and_latest_points_to_it(tmp_path: Path) -> None:
    summary = write_version(tmp_path / "doors", images_of(4, 3), CLASSES, BOTH, jpeg_of)
    assert summary.path == tmp_path / "doors" / "v1"
    assert (summary.is_new, summary.added, summary.removed) == (True, 12, 0)
    assert str((tmp_path / "doors" / "latest").readlink()) == "v1"
    assert sorted(path.name for path in (tmp_path / "doors").iterdir()) == ["latest", "v1"]


def test_the_same_content_makes_no_second_version(tmp_path: Path) -> None:
    first = write_version(tmp_path, images_of(4, 3), CLASSES, BOTH, jpeg_of)
    moved = [
        dataclasses.replace(image, shard="shards/attempt-2.tar", offset=9, config_hash="b04d11")
        for image in reversed(images_of(4, 3))
    ]

    def never(image: ExportImage) -> bytes:
        raise AssertionError("no picture should be read")

    again = write_version(tmp_path, moved, CLASSES, BOTH, never)
    assert not again.is_new
    assert dataclasses.replace(again, is_new=True, added=12) == first
    assert latest_version(tmp_path) == again


@pytest.mark.parametrize(
    "change",
    [
        {"split": "val"},
        {"boxes": ()},
        {"labelled_by": "human"},
        {"width": 161},
        {"size_bytes": 1},
        {"models": {"detect": "other@sha256:bb"}},
    ],
)
def test_whatever_a_reader_would_notice_is_new_content(change: dict[str, object]) -> None:
    one, other = image_of(1, 1), dataclasses.replace(image_of(1, 1), **change)  # type: ignore[arg-type]
    assert content_hash([one], CLASSES, BOTH) != content_hash([other], CLASSES, BOTH)


def test_classes_in_another_order_are_new_content() -> None:
    images = images_of(1, 2)
    assert content_hash(images, CLASSES, BOTH) != content_hash(images, CLASSES[::-1], BOTH)
    assert content_hash(images, CLASSES, BOTH) != content_hash(images, CLASSES, ["yolo"])


def test_unchanged_pictures_are_hard_links_and_old_versions_stay(tmp_path: Path) -> None:
    first = write_version(tmp_path, images_of(4, 3), CLASSES, BOTH, jpeg_of)
    before = tree_bytes(first.path)
    changed = [*images_of(5, 3)[1:-1], image_of(0, 0, (Box("door_handle", 0.6, (1.0, 2.0, 30.0, 40.0)),))]
    second = write_version(tmp_path, changed[1:], CLASSES, BOTH, jpeg_of)
    assert (second.path.name, second.added, second.removed) == ("v2", 2, 1)
    assert str((tmp_path / "latest").readlink()) == "v2"
    assert tree_bytes(first.path) == before
    for path in second.path.glob("images/*/*.jpg"):
        twin = first.path / path.relative_to(second.path)
        assert path.stat().st_nlink == (2 if twin.exists() else 1)
        assert not twin.exists() or path.samefile(twin)


def test_a_picture_with_other_bytes_of_the_same_size_is_not_linked(tmp_path: Path) -> None:
    images = images_of(1, 2)
    first = write_version(tmp_path, images, CLASSES, ["yolo"], lambda image: b"old bytes")
    newer = [dataclasses.replace(image, sharpness=1.0) for image in images]
    second = write_version(tmp_path, newer, CLASSES, ["yolo"], lambda image: b"new bytes")
    assert {path.read_bytes() for path in first.path.glob("images/*/*")} == {b"old bytes"}
    assert {path.read_bytes() for path in second.path.glob("images/*/*")} == {b"new bytes"}


def test_a_file_that_somebody_edited_in_an_old_version_is_not_carried_on(tmp_path: Path) -> None:
    first = write_version(tmp_path, images_of(1, 2), CLASSES, ["yolo"], jpeg_of)
    next(iter(first.path.glob("images/*/*.jpg"))).write_bytes(b"scribble")
    second = write_version(tmp_path, images_of(1, 3), CLASSES, ["yolo"], jpeg_of)
    assert all(path.read_bytes() != b"scribble" for path in second.path.glob("images/*/*"))


def test_the_same_input_gives_the_same_bytes_in_any_order_and_place(tmp_path: Path) -> None:
    images = images_of(6, 5)
    shuffled = random.Random(7).sample(images, len(images))
    one = write_version(tmp_path / "a", images, CLASSES, BOTH, jpeg_of)
    other = write_version(tmp_path / "b" / "deep", shuffled, CLASSES, BOTH, jpeg_of)
    assert tree_bytes(one.path) == tree_bytes(other.path)
    assert all(str(tmp_path).encode() not in data for data in tree_bytes(one.path).values())


def test_a_copy_is_the_version_without_its_number(tmp_path: Path) -> None:
    version = write_version(tmp_path / "doors", images_of(4, 3), CLASSES, BOTH, jpeg_of)
    (tmp_path / "copy").mkdir()
    copy = write_copy(tmp_path / "copy", images_of(4, 3), CLASSES, BOTH, jpeg_of)
    assert tree_bytes(copy.path) == tree_bytes(version.path)
    with pytest.raises(UsageError, match=r"already there and not an empty folder"):
        write_copy(tmp_path / "copy", images_of(4, 3), CLASSES, BOTH, jpeg_of)


def test_killed_at_any_picture_and_run_again_gives_the_same_folder(tmp_path: Path) -> None:
    expected_folder = tmp_path / "undisturbed"
    write_version(expected_folder, images_of(6, 5), CLASSES, BOTH, jpeg_of)
    expected = tree_bytes(expected_folder)
    folder = tmp_path / "doors"
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    for stop_at in [*random.Random(seed).sample(range(29), 3), 29]:
        child = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(stop_at + 1):
            child.stdout.readline()
        child.kill()
        child.wait()
        child.stdout.close()
        assert not (folder / "latest").exists() or tree_bytes(folder) == expected
    write_version(folder, images_of(6, 5), CLASSES, BOTH, jpeg_of)
    assert tree_bytes(folder) == expected
    assert sorted(path.name for path in folder.iterdir()) == ["latest", "v1"]


def test_killed_between_the_version_and_latest_only_latest_is_made_up_for(tmp_path: Path) -> None:
    write_version(tmp_path, images_of(2, 2), CLASSES, BOTH, jpeg_of)
    (tmp_path / "latest").unlink()
    (tmp_path / ".latest").symlink_to("v1")
    again = write_version(tmp_path, images_of(2, 2), CLASSES, BOTH, jpeg_of)
    assert (again.is_new, again.path.name) == (False, "v1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "v1"]


def test_a_picture_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(image: ExportImage) -> bytes:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_version(tmp_path, images_of(2, 2), CLASSES, BOTH, broken)
    assert list(tmp_path.iterdir()) == []
    assert latest_version(tmp_path) is None


def test_two_writers_at_once_make_one_version(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(tmp_path)], stdout=subprocess.DEVNULL) for _ in "ab"
    ]
    assert [child.wait(60) for child in children] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "v1"]


def test_versions_are_counted_as_numbers(tmp_path: Path) -> None:
    for seconds in range(1, 12):
        write_version(tmp_path, images_of(1, seconds), CLASSES, ["yolo"], jpeg_of)
    newest = latest_version(tmp_path)
    assert newest is not None and newest.path.name == "v11"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (image_of(1, 1, split="test"), "neither train nor val"),
        (image_of(1, 1, (Box("cat", 0.9, (0.0, 0.0, 9.0, 9.0)),)), "class 'cat'"),
        (image_of(1, 1, name="../../etc/passwd.jpg"), "no safe file name"),
        (image_of(1, 1, name="-rf.jpg"), "no safe file name"),
    ],
)
def test_an_image_that_would_break_the_set_is_refused(tmp_path: Path, image: ExportImage, expected: str) -> None:
    with pytest.raises(DataMinerError, match=expected):
        write_version(tmp_path, [image], CLASSES, BOTH, jpeg_of)
    assert list(tmp_path.iterdir()) == []


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMinerError, match=r"two images of this name"):
        write_version(tmp_path, [image_of(1, 1), image_of(1, 1)], CLASSES, BOTH, jpeg_of)


def test_the_schema_offers_the_formats_there_are() -> None:
    assert Export(formats=tuple(FORMATS)).formats == tuple(FORMATS)  # type: ignore[arg-type]
