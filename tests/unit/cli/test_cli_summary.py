"""The last words of a run, from a status dict."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from data_miner.cli.summary import summary_lines, waiting_line
from data_miner.export.versions import VersionSummary

STATUS: dict[str, Any] = {
    "project": "glass_door",
    "state": "finished",
    "config": "8f31c2aaaaaa",
    "videos": {
        "found": 173,
        "skipped": 14,
        "waiting": 0,
        "blocked": 0,
        "downloaded": 159,
        "mined": 159,
        "dead": 0,
    },
    "frames": {"extracted": 64218, "good": 61004, "passed": 2391, "unique": 1012, "with_boxes": 874},
    "boxes": 1322,
    "boxes_by_class": {"glass_door": 1154, "door_handle": 168},
    "drops": {
        "download": {"private": 5, "gone": 4, "members_only": 3, "geo": 1, "age": 1},
        "extract": {},
        "filter": {"too_blurry": 2410, "junk": 419},
        "dedup": {"duplicate": 1031},
        "detect": {"no_detection": 138},
    },
    "failures": {},
    "sites": {},
    "dataset": None,
}


def test_the_funnel_is_told_in_a_few_lines() -> None:
    dataset = VersionSummary(
        Path("/sets/v3"), "c", 920, 46, 736, 184, 1322, {"glass_door": 1154}, added=9, removed=2, is_new=True
    )
    yields = [
        SimpleNamespace(locator="hotel", videos=10, images=91),
        SimpleNamespace(locator="mall", videos=5, images=2),
    ]
    lines = summary_lines(STATUS, elapsed_s=28_920, dataset=dataset, yields=yields, next_step="look")
    assert lines == [
        "finished   glass_door in 8 h 02 m",
        "videos     173: 159 mined · 14 skipped (private 5 · gone 4 · members_only 3 · age 1 · geo 1)",
        "frames     64,218 extracted → 61,004 good → 2,391 match → 1,012 unique → 874 with boxes",
        "dropped    too_blurry 2,410 · junk 419 | duplicate 1,031 | no_detection 138",
        "boxes      1,322: glass_door 1,154 · door_handle 168",
        'yield      best "hotel" 9.1 images a video · least "mall" 0.4',
        "dataset    /sets/v3   920 images (+9 −2) (46 without a box): 736 train, 184 val, by video",
        "next       look",
    ]


def test_what_went_wrong_and_who_is_waited_for_have_lines_of_their_own() -> None:
    moment = datetime.now(UTC).isoformat()
    sites = {
        "youtube": {"state": "shut", "reason": "bot_check", "since": moment, "next_try": moment},
        "vimeo": {"state": "open", "reason": None, "since": None, "next_try": None},
    }
    videos = {**STATUS["videos"], "blocked": 42, "dead": 2}
    found = {**STATUS, "state": "blocked", "videos": videos, "sites": sites}
    lines = summary_lines({**found, "failures": {"download": {"unreadable": 2}}})
    assert any(line.startswith("waiting    for youtube: bot_check since ") for line in lines)
    assert "failed     download unreadable 2" in lines and not any("vimeo" in line for line in lines)
    assert "159 mined · 42 blocked · 14 skipped" in lines[1] and lines[1].endswith("· 2 dead")


def test_a_waiting_line_names_site_reason_and_doctor() -> None:
    moment = datetime.now(UTC)
    site = SimpleNamespace(name="youtube", reason="network", detail="no\nroute", since=moment, next_try=moment, jobs=1)
    line = waiting_line(site)
    assert line.startswith("youtube: network (no route) since ") and "\n" not in line
    assert "1 waits for it" in line and "data-miner doctor" in line
