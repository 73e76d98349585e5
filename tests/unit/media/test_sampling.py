"""Targets, their owners and shares, against the rule written out naively."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_miner.media.sampling import Cut, Sampling, cut_segments, targets_of, thin


def taken(pts_ms: list[int], cuts: list[Cut], sampling: Sampling, first_ms: int) -> list[int]:
    """What segments emit when each sees all frames."""
    found = []
    for cut in cuts:
        targets = targets_of(cut, sampling, first_ms, Fraction(first_ms, 1000))
        previous: Fraction | None = None
        for ms in pts_ms:
            number = targets.owner(previous, Fraction(ms, 1000))
            previous = Fraction(ms, 1000)
            if number is not None and number in targets.numbers and targets.keeps(number):
                found.append(ms)
    return found


def naive(pts_ms: list[int], fps: Fraction) -> list[int]:
    """First frame at or after each target, each once."""
    step = 1000 / fps
    found: set[int] = set()
    target = Fraction(pts_ms[0])
    while target <= pts_ms[-1]:
        found.add(next(ms for ms in pts_ms if ms >= target))
        target += step
    return sorted(found)


times = st.lists(st.integers(0, 60_000), min_size=1, max_size=60, unique=True).map(sorted)
rates = st.sampled_from(["0.2", "1", "2", "3", "7.5", "30000/1001"])


@given(times, rates, st.integers(400, 20_000))
def test_segments_take_exactly_the_frames_of_one_piece(pts_ms: list[int], fps: str, segment_ms: int) -> None:
    sampling = Sampling("interval", Fraction(fps))
    duration_ms = pts_ms[-1] - pts_ms[0] + 40
    cuts = cut_segments(pts_ms[0], duration_ms, sampling, segment_ms)
    assert taken(pts_ms, cuts, sampling, pts_ms[0]) == naive(pts_ms, sampling.fps)


@given(st.integers(0, 5000), st.integers(1, 100_000), st.integers(300, 50_000))
def test_segments_cover_the_whole_video_without_overlap(first_ms: int, duration_ms: int, segment_ms: int) -> None:
    cuts = cut_segments(first_ms, duration_ms, Sampling("interval"), segment_ms)
    assert cuts[0].start_ms == first_ms
    assert cuts[-1].end_ms == first_ms + duration_ms
    assert all(left.end_ms == right.start_ms for left, right in pairwise(cuts))


@given(st.integers(1, 200_000), st.integers(0, 150), st.sampled_from(["interval", "keyframe", "scene"]))
def test_shares_of_max_frames_add_up_to_it(duration_ms: int, max_frames: int, strategy: str) -> None:
    sampling = Sampling(strategy, Fraction(1))
    cuts = cut_segments(0, duration_ms, sampling, 7_000, max_frames)
    shares = [cut.max_frames for cut in cuts if cut.max_frames is not None]
    targets = -(-duration_ms // 1000)
    assert len(shares) == len(cuts)
    assert sum(shares) == (min(max_frames, targets) if strategy == "interval" else max_frames)


def test_shares_follow_the_largest_remainder() -> None:
    cuts = cut_segments(0, 25_000, Sampling("interval"), 10_000, max_frames=9)
    # 10, 10 and 5 targets: 3.6, 3.6 and 1.8 of 9
    assert [cut.max_frames for cut in cuts] == [4, 3, 2]


@given(st.integers(1, 300), st.integers(0, 320))
def test_kept_targets_are_those_that_thin_keeps(count: int, most: int) -> None:
    cut = Cut(0, count * 1000, most)
    targets = targets_of(cut, Sampling("interval"), 0, Fraction(0))
    kept = [number for number in targets.numbers if targets.keeps(number)]
    assert kept == thin(targets.numbers, most)
    assert len(kept) == min(count, most)


def test_thinning_spreads_evenly() -> None:
    assert thin(range(10), 4) == [0, 2, 5, 7]


def test_a_decimal_rate_is_the_decimal_and_not_its_binary_neighbour() -> None:
    assert Sampling("interval", 0.1).fps == Fraction(1, 10)  # type: ignore[arg-type]


def test_a_frame_over_several_targets_belongs_to_the_first_of_them() -> None:
    targets = targets_of(Cut(0, 9000), Sampling("interval"), 0, Fraction(0))
    assert targets.owner(Fraction(1, 2), Fraction(7, 2)) == 1
    assert targets.owner(Fraction(7, 2), Fraction(39, 10)) is None
    assert targets.owner(None, Fraction(0)) == 0


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="shots"):
        Sampling("shots")


@pytest.mark.parametrize("threshold", [0, 256, float("nan")])
def test_a_scene_threshold_that_no_score_can_have_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="scene_threshold"):
        Sampling("scene", scene_threshold=threshold)


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="fps"):
        Sampling("interval", Fraction(0))
