"""Verdicts before bytes."""

from dataclasses import replace
from typing import Any

import pytest

from data_miner.errors import ConfigError
from data_miner.records import VideoInfo
from data_miner.sources.policy import Policy, check_match_filter, judge, match_dict

GLASS_DOOR = Policy(
    match_filters="duration >? 20 & duration <? 3600 & !is_live",
    skip_keywords=("cgi", "3d animation", "minecraft", "gameplay"),
)
VIDEO = VideoInfo("youtube:a", "https://youtu.be/a", "youtube", title="Office lobby", duration_s=60.0)


def with_extra(**extra: Any) -> VideoInfo:
    return replace(VIDEO, extra=extra)


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        (VIDEO, None),
        (replace(VIDEO, duration_s=None), None),
        (replace(VIDEO, duration_s=20.0), "too_short"),
        (replace(VIDEO, duration_s=3600.0), "too_long"),
        (with_extra(is_live=True), "live"),
        (with_extra(live_status="is_upcoming"), "live"),
        (with_extra(live_status="was_live", is_live=False), None),
        (replace(VIDEO, title="Doors in MINECRAFT!"), "keyword"),
        (replace(VIDEO, title="A 3D  Animation of a door"), "keyword"),
        (replace(VIDEO, title="A CGI-render"), "keyword"),
        (replace(VIDEO, title="Ｍｉｎｅｃｒａｆｔ"), "keyword"),
        (replace(VIDEO, title="Scgine street"), None),
        (replace(VIDEO, tags=("lobby", "3d animation")), "keyword"),
        (with_extra(description="see #3DAnimation"), "keyword"),
        (with_extra(description="see #minecraft_doors"), "keyword"),
        (with_extra(description="no minecraft here"), None),
    ],
)
def test_each_verdict_has_its_reason(video: VideoInfo, reason: str | None) -> None:
    assert judge(video, GLASS_DOOR) == reason


@pytest.mark.parametrize(
    ("license", "reason"),
    [
        ("Creative Commons Attribution license (reuse allowed)", None),
        ("CC BY 4.0", None),
        ("Standard YouTube License", "license"),
        ("", "license"),
    ],
)
def test_a_free_license_is_asked_of_the_page(license: str, reason: str | None) -> None:
    policy = Policy(license="creative_commons")
    assert judge(replace(VIDEO, license=license), policy) == reason


def test_a_listed_video_without_a_license_waits_for_its_page() -> None:
    assert judge(VIDEO, Policy(license="creative_commons"), is_listed_only=True) is None


def test_unknown_values_fail_on_the_page_unless_the_filter_says_they_may() -> None:
    unknown = replace(VIDEO, duration_s=None)
    assert judge(unknown, Policy("duration > 20")) == "too_short"
    assert judge(unknown, Policy("duration > 20"), is_listed_only=True) is None
    assert judge(unknown, Policy("duration >? 20")) is None


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ("like_count > 100", "match_filter"),
        ("duration > 10 & title ~= '(?i)garage'", "match_filter"),
        ("title *= 'Office' & duration < 30", "too_long"),
        ("duration >= 1:30", "too_short"),
        ("duration !< 90", "too_short"),
        ("title ~= 'Office'", None),
        ("!is_live", None),
    ],
)
def test_the_failed_clause_names_the_reason(filters: str, reason: str | None) -> None:
    assert judge(with_extra(like_count=3), Policy(filters)) == reason


def test_a_record_is_spelled_as_ytdlp_spells_it() -> None:
    values = match_dict(replace(VIDEO, uploader="ACME", extra={"view_count": 7}))
    assert values["duration"] == 60.0
    assert (values["id"], values["uploader"], values["view_count"]) == ("a", "ACME", 7)
    assert "license" not in values


@pytest.mark.parametrize(
    "good",
    ["duration >? 20 & duration <? 3600 & !is_live", "title~='a\\&b'", "view_count >=? 1k", "uploader"],
)
def test_good_filters_pass(good: str) -> None:
    check_match_filter(good)


@pytest.mark.parametrize("bad", ["duration => 20", "duration > 20 &", "Duration > 20", "duration *= 5", "title ~= '('"])
def test_a_bad_filter_is_one_clear_line(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"download\.match_filters: ") as caught:
        check_match_filter(bad)
    assert "\n" not in str(caught.value)
