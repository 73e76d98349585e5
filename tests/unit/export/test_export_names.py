"""Image names: tame ids readable, hostile ids harmless, no two alike."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_miner.export.names import image_name, video_name

SAFE = re.compile(r"[a-z0-9][A-Za-z0-9_.-]*_\d{9,}\.jpg")


@pytest.mark.parametrize(
    ("video_id", "expected"),
    [
        ("youtube:3kX9f0aQbLs", "youtube_3kX9f0aQbLs_000083417.jpg"),
        ("youtube:-_a_b-c-d-e", "youtube_-_a_b-c-d-e_000083417.jpg"),
        ("generic:0123456789abcdef", "generic_0123456789abcdef_000083417.jpg"),
        ("local:0123456789abcdef", "local_0123456789abcdef_000083417.jpg"),
    ],
)
def test_a_tame_id_is_kept_as_it_is(video_id: str, expected: str) -> None:
    assert image_name(video_id, 83_417) == expected


@pytest.mark.parametrize(
    "video_id",
    [
        "generic:../../etc/passwd",
        f"x:{'a' * 500}",
        "x:🚪",
        "x:a\nb",
        "x:",
        ":",
        "",
        "x:.",
        "-rf:y",
        "x:CON.",
        "x:\ud800",
    ],
)
def test_a_hostile_id_is_a_short_safe_name(video_id: str) -> None:
    name = image_name(video_id, 1)
    assert SAFE.fullmatch(name) and ".." not in name
    assert len(name) <= 150


@given(st.lists(st.text(alphabet="ab_-.:/A🚪", max_size=12), min_size=2, max_size=40, unique=True))
def test_no_two_ids_share_a_name(video_ids: list[str]) -> None:
    assert len({video_name(video_id) for video_id in video_ids}) == len(video_ids)


def test_names_of_one_video_are_in_order_of_time() -> None:
    times = [0, 5, 999, 83_417, 3_600_000, 999_999_999]
    assert sorted(image_name("youtube:a", time) for time in times) == [image_name("youtube:a", time) for time in times]
