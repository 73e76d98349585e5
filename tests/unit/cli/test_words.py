"""Numbers, durations and tables as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from data_miner.cli import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.84, "0.8 s"),
        (4.0, "4 s"),
        (27.2, "27 s"),
        (59.7, "1 m 00 s"),
        (370, "6 m 10 s"),
        (1320, "22 m"),
        (5220, "1 h 27 m"),
        (28_920, "8 h 02 m"),
        (35 * 86_400, "35 days"),
    ],
)
def test_durations_have_two_parts_at_most(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_338_086, "1.3 MB"),
        (9_000_000_000, "9 GB"),
        (999_600, "1 MB"),
        (4.2e14, "420 TB"),
    ],
)
def test_sizes_are_in_powers_of_a_thousand(size_bytes: float, text: str) -> None:
    assert words.size(size_bytes) == text


def test_reasons_come_most_first_and_by_name_among_equals() -> None:
    assert words.reasons({"geo": 1, "gone": 4, "age": 1, "private": 5000}) == "private 5,000 · gone 4 · age 1 · geo 1"


def test_a_table_sets_numbers_right_and_shows_nothing_as_a_dash() -> None:
    lines = words.table(("site", "today"), [["youtube", 1102], ["vimeo", None], ["a\nb", 7]])
    assert lines == ["site     today", "youtube  1,102", "vimeo        –", "a b          7"]


def test_wide_letters_take_two_columns() -> None:
    assert words.table(("title", "n"), [["玻璃门", 1], ["door", 2]]) == [
        "title   n",
        "玻璃门  1",
        "door    2",
    ]


def test_a_clock_shows_the_day_when_it_is_another() -> None:
    now = datetime.now(UTC).astimezone()
    assert words.clock(now) == now.strftime("%H:%M")
    before = now - timedelta(days=3)
    assert words.clock(before.isoformat()) == before.strftime("%Y-%m-%d %H:%M")
    assert words.clock(None) == "–"
