"""Names that annotation tools make of ours."""

import pytest

from data_miner.labels.names import frames_meant
from data_miner.sources.names import image_name, video_name

HASH = "0123456789abcdef0123456789abcdef"
UUID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"


@pytest.mark.parametrize(
    "video_id", ["youtube:3kX9f0aQbLs", "youtube:_-aQbLs__-x", "odd:ü/weird id", "local:0a1b2c3d4e5f6a7b"]
)
@pytest.mark.parametrize("pts_ms", [83417, 0, 1_234_567_890, -40])
@pytest.mark.parametrize(
    "told",
    [
        "{stem}.jpg",
        "{stem}.txt",
        "{stem}",
        "images/val/{stem}.jpg",
        "C:\\work\\{stem}.png",
        f"{{stem}}_jpg.rf.{HASH}.jpg",
        f"{{stem}}_jpg.rf.{HASH}",
        "0a1b2c3d-{stem}.jpg",
        f"{UUID}-{{stem}}.jpg",
        f"0a1b2c3d-{{stem}}_jpg.rf.{HASH}.txt",
    ],
)
def test_the_frame_is_among_those_a_name_may_mean(told: str, video_id: str, pts_ms: int) -> None:
    stem = image_name(video_id, pts_ms).removesuffix(".jpg")
    assert (video_name(video_id), pts_ms) in list(frames_meant(told.format(stem=stem)))


def test_the_name_as_it_stands_comes_first() -> None:
    # A native id may begin as an upload's prefix does.
    assert next(frames_meant("0a1b2c3d-x_abc_000000001.jpg")) == ("0a1b2c3d-x_abc", 1)


@pytest.mark.parametrize("name", ["IMG_0042.jpg", "frame.txt", "", "_000000001", "a_00000001.jpg"])
def test_other_names_mean_no_frame(name: str) -> None:
    assert not list(frames_meant(name))
