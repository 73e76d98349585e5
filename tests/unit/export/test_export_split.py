"""Sides of the split: by video, drawn once, neither side empty."""

import random

from hypothesis import given
from hypothesis import strategies as st

from data_miner.export.split import Side, draw_sides, side

VIDEOS = [f"youtube:{number}" for number in range(2000)]
ids = st.lists(st.sampled_from(VIDEOS[:60]), min_size=0, max_size=20, unique=True)


def test_the_share_is_kept_over_many_videos() -> None:
    drawn = draw_sides(VIDEOS, {}, "doors", 0.8)
    assert 0.77 < sum(side == "train" for side in drawn.values()) / len(VIDEOS) < 0.83


def test_another_project_draws_another_split() -> None:
    assert draw_sides(VIDEOS, {}, "doors", 0.8) != draw_sides(VIDEOS, {}, "windows", 0.8)


@given(ids, st.floats(0.01, 0.99), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_two_videos_fill_both_sides(
    videos: list[str], share: float, shuffler: random.Random
) -> None:
    drawn = draw_sides(videos, {}, "doors", share)
    other = list(videos)
    shuffler.shuffle(other)
    assert draw_sides(other, {}, "doors", share) == drawn
    assert set(drawn) == set(videos)
    assert len(videos) < 2 or set(drawn.values()) == {"train", "val"}


@given(st.lists(ids, min_size=1, max_size=5), st.floats(0.01, 0.99))
def test_a_side_never_changes_as_videos_come_and_go(batches: list[list[str]], share: float) -> None:
    ledger: dict[str, Side] = {}
    for batch in batches:
        drawn = draw_sides(batch, ledger, "doors", share)
        assert all(drawn[video] == ledger[video] for video in batch if video in ledger)
        ledger |= drawn


@given(ids, ids)
def test_all_but_the_forced_one_are_where_their_hash_puts_them(first: list[str], then: list[str]) -> None:
    ledger = draw_sides(first, {}, "doors", 0.8)
    drawn = draw_sides([*first, *then], ledger, "doors", 0.8)
    moved = [video for video in drawn if drawn[video] != side(video, "doors", 0.8)]
    assert len(moved) <= 2


def test_val_is_not_empty_from_the_second_video_on() -> None:
    first = next(video for video in VIDEOS if side(video, "doors", 0.8) == "train")
    rest = [video for video in VIDEOS if video != first and side(video, "doors", 0.8) == "train"]
    ledger = draw_sides([first], {}, "doors", 0.8)
    assert ledger == {first: "train"}
    assert draw_sides([first, rest[0]], ledger, "doors", 0.8) == {first: "train", rest[0]: "val"}


def test_a_share_of_nothing_stays_nothing() -> None:
    assert set(draw_sides(VIDEOS, {}, "doors", 1.0).values()) == {"train"}
    assert set(draw_sides(VIDEOS, {}, "doors", 0.0).values()) == {"val"}
