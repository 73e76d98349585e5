"""The manifest: one tame line an image, whatever a stranger wrote into a title."""

import csv
import dataclasses
from pathlib import Path

import pytest

from data_miner.export.manifest import COLUMNS, tame, url_at
from data_miner.export.versions import write_version
from data_miner.records import ExportImage, VideoInfo
from tests.support.datasets import CLASSES, image_of, images_of, jpeg_of

HOSTILE = '=HYPERLINK("http://evil","x")\r\nsecond line\u2028third, "quoted"\x00 \ud800 🚪'


def rows(folder: Path, images: list[ExportImage]) -> list[dict[str, str]]:
    """The manifest of a version of these images."""
    version = write_version(folder, images, CLASSES, ["yolo"], jpeg_of).path
    with (version / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_has_a_row_in_order_of_name(tmp_path: Path) -> None:
    found = rows(tmp_path, images_of(3, 5)[::-1])
    names = [row["image"] for row in found]
    assert names == sorted(names) and len(names) == 15
    assert list(found[0]) == COLUMNS
    assert found[1] == {
        "image": "youtube_vid-0000_000001417.jpg",
        "split": "val",
        "url": "https://www.youtube.com/watch?v=vid-0000&t=1s",
        "video": "youtube:vid-0000",
        "pts_ms": "1417",
        "title": "Tour 0",
        "uploader": "",
        "channel": "",
        "license": "CC BY",
        "upload_date": "",
        "width": "160",
        "height": "96",
        "sharpness": "141.3",
        "brightness": "118.0",
        "positive": "0.4100",
        "positive_prompt": "a glass door",
        "negative": "0.1100",
        "negative_prompt": "a window",
        "junk": "",
        "junk_prompt": "",
        "boxes": "2",
        "box_scores": "glass_door 0.7500; door_handle 0.5000",
        "labelled_by": "model",
        "filter_model": "",
        "dedup_model": "",
        "detect_model": "yolo11n@sha256:aa",
        "config": "8f31c2000000",
    }


def test_a_hostile_title_stays_one_harmless_cell(tmp_path: Path) -> None:
    image = image_of(1, 1)
    video = dataclasses.replace(image.video, title=HOSTILE, uploader="@SUM(A1)", channel="-1+1", license="+x")
    found = rows(tmp_path, [dataclasses.replace(image, video=video)])
    assert len(found) == 1
    assert found[0]["title"] == '\'=HYPERLINK("http://evil","x") second line third, "quoted" \ufffd 🚪'
    assert (found[0]["uploader"], found[0]["channel"], found[0]["license"]) == ("'@SUM(A1)", "'-1+1", "'+x")
    assert len((tmp_path / "v1" / "manifest.csv").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize("text", ["=1", "\t=1", " +1", "-1", "@x", "\n=1", "＝1"])
def test_no_cell_begins_a_formula(text: str) -> None:
    assert tame(text).startswith("'")


def test_local_paths_and_model_paths_do_not_leave_the_machine(tmp_path: Path) -> None:
    video = VideoInfo("local:0123456789abcdef", "/home/kim/films/lobby.mp4", None, title="lobby")
    image = image_of(1, 83, video=video, models={"detect": "/home/kim/best.pt@sha256:ff"})
    found = rows(tmp_path, [image])[0]
    assert found["url"] == "lobby.mp4#t=83"
    assert found["detect_model"] == "best.pt@sha256:ff"
    assert "/home/kim" not in (tmp_path / "v1" / "manifest.csv").read_text()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.youtube.com/watch?v=3kX&t=5", "https://www.youtube.com/watch?v=3kX&t=83s"),
        ("https://youtu.be/3kX", "https://youtu.be/3kX?t=83s"),
        ("https://vimeo.com/76979871", "https://vimeo.com/76979871#t=83"),
        ("http://127.0.0.1:4000/a/clip.mp4?x=1", "http://127.0.0.1:4000/a/clip.mp4?x=1#t=83"),
        ("https://a.example/#/watch/1", "https://a.example/#/watch/1&t=83"),
        ("https://kim:secret@a.example/v", "https://a.example/v#t=83"),
        ("https://notyoutube.com/watch?v=1", "https://notyoutube.com/watch?v=1#t=83"),
    ],
)
def test_the_address_opens_at_the_second(url: str, expected: str) -> None:
    assert url_at(VideoInfo("x:1", url, "x"), 83_417) == expected
