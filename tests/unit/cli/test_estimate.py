"""Estimates: arithmetic over counts, and what is said of how sure they are."""

from types import SimpleNamespace
from typing import Any

from data_miner.cli.planning.estimate import NOTHING, Machine, Number, Unasked, Work, estimate, total
from data_miner.config.schema import ProjectConfig
from data_miner.ledger.measured import Rate

CONFIG = ProjectConfig.model_validate(
    {
        "classes": {"door": ["door"]},
        "filter": {"model": "siglip", "positive": ["a door"]},
        "detect": {"model": "x.pt"},
        "extract": {"fps": 1.0, "max_frames": 900},
    }
)


def counted(**more: Any) -> Any:
    """A forecast of nothing, except what is named."""
    nothing: dict[str, Any] = {
        "funnel": {},
        "downloads": [],
        "uncut": SimpleNamespace(videos=0, timed=0, seconds=0.0, frames=0.0),
        "unextracted": SimpleNamespace(videos=0, frames=0.0),
        "frames": SimpleNamespace(to_score=0, to_embed=0, to_compare=0, to_detect=0),
        "sizes": SimpleNamespace(film_bytes_per_s=None, film_s=None, frame_bytes=None),
        "rates": {},
        "change": None,
    }
    return SimpleNamespace(**{**nothing, **more})


def works(found: Any, unasked: Unasked | None = None, pace_s: float = 30.0) -> dict[str, Work]:
    machine = Machine(cpus=2, has_gpu=False)
    return {work.stage: work for work in estimate(CONFIG, found, unasked or Unasked(), pace_s, machine)}


def test_nothing_to_do_costs_nothing() -> None:
    assert all(work.items.value == 0 and work.time_s == NOTHING for work in works(counted()).values())


def test_a_sum_is_as_sure_as_its_less_sure_part() -> None:
    assert (Number(1) + Number(2, "paced")).known == "paced"
    assert Number(1, "guessed") + Number(2, "paced") == Number(3, "guessed")


def test_downloads_wait_for_the_slowest_site() -> None:
    rows = [
        SimpleNamespace(site="youtube", videos=100, timed=100, seconds=60_000.0, pace_s=30.0, state="open"),
        SimpleNamespace(site="vimeo", videos=10, timed=10, seconds=600.0, pace_s=5.0, state="open"),
        SimpleNamespace(site=None, videos=4, timed=4, seconds=40.0, pace_s=None, state=None),
    ]
    download = works(counted(downloads=rows))["download"]
    assert download.items == Number(110) and download.time_s == Number(3000, "paced")


def test_measured_rates_make_measured_times() -> None:
    rates = {"extract": Rate(seconds=10.0, items=100, size_bytes=0, videos=2)}
    uncut = SimpleNamespace(videos=3, timed=3, seconds=600.0, frames=600.0)
    extract = works(counted(rates=rates, uncut=uncut))["extract"]
    assert extract.time_s == Number(600 * 0.1 / 2), "two cores work side by side"
    guessed = works(counted(uncut=uncut))["extract"]
    assert guessed.time_s.known == "guessed" and guessed.items.known == "measured"


def test_videos_nobody_asked_for_are_guesses_and_capped() -> None:
    found = counted(sizes=SimpleNamespace(film_bytes_per_s=1000.0, film_s=3600.0, frame_bytes=100.0))
    every = works(found, Unasked(sources=1, online=Number(40, "guessed")))
    assert every["extract"].items == Number(40 * 900, "guessed"), "an hour each, 900 pictures at most"
    assert every["download"].size_bytes == Number(40 * 3600 * 1000, "guessed")
    assert every["download"].time_s == Number(1200, "paced")


def test_the_projects_own_shares_carry_on() -> None:
    funnel = {"extracted": 1000, "passed": 100, "unique": 50}
    frames = SimpleNamespace(to_score=200, to_embed=200, to_compare=10, to_detect=5)
    every = works(counted(funnel=funnel, frames=frames))
    assert every["filter"].items == Number(200)
    assert every["dedup"].items == Number(10 + 20, "guessed")
    assert every["detect"].items == Number(5 + 15, "guessed")


def test_the_whole_takes_as_long_as_the_pace_or_as_all_own_work() -> None:
    fast = Work("download", "videos", Number(1), Number(10, "paced"), Number(5))
    slow = Work("download", "videos", Number(1), Number(1000, "paced"), Number(5))
    own = [
        Work("extract", "pictures", Number(1), Number(20)),
        Work("detect", "pictures", Number(1), Number(30)),
    ]
    assert total([fast, *own]) == (Number(50), Number(5), False)
    assert total([slow, *own]) == (Number(1000, "paced"), Number(5), True)
