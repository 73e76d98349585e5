"""sites.yaml: paces by site, host and loopback."""

from pathlib import Path

import pytest

from data_miner.config.settings import Settings
from data_miner.config.sites import Pace, load_sites
from data_miner.errors import ConfigError


def write(folder: Path, text: str) -> None:
    """Put a sites.yaml where it is looked for first."""
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "sites.yaml").write_text(text)


def test_the_shared_file_paces_youtube_and_all_others_by_default(settings: Settings) -> None:
    sites = load_sites(settings)
    assert sites.pace("youtube") == Pace(sleep_interval=20, max_sleep_interval=40, sleep_requests=1, max_downloads=1500)
    assert sites.pace("vimeo").max_downloads is None
    assert sites.pace("vimeo").sleep_interval == 20


@pytest.mark.parametrize("site", ["127.0.0.1:40913", "127.0.0.1", "localhost:80", "[::1]:8080", "[::1]", None])
def test_this_machine_is_not_paced(settings: Settings, site: str | None) -> None:
    assert load_sites(settings).pace(site).max_sleep_interval == 0


@pytest.mark.parametrize("site", ["127.evil.example", "localhost.evil.example", "10.0.0.7:80", "fe80::1"])
def test_a_name_that_looks_like_this_machine_is_paced(settings: Settings, site: str) -> None:
    assert load_sites(settings).pace(site).sleep_interval == 20


def test_a_site_takes_what_it_does_not_say_from_the_default(settings: Settings, tmp_path: Path) -> None:
    write(
        tmp_path,
        "default: {sleep_interval: 3, max_sleep_interval: 5}\n"
        "Vimeo: {max_downloads: 9}\ncam.local: {sleep_interval: 50}\n",
    )
    sites = load_sites(settings)
    assert (sites.pace("vimeo").sleep_interval, sites.pace("vimeo").max_downloads) == (3, 9)
    assert sites.pace("cam.local:8080").max_sleep_interval == 50
    assert sites.pace("other").max_sleep_interval == 5
    assert sites.path == tmp_path / "configs" / "sites.yaml"


def test_a_loopback_site_keeps_no_pace_when_only_its_trial_is_named(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1: {trial_interval_s: 0.5}\n")
    pace = load_sites(settings).pace("127.0.0.1:4000")
    assert (pace.trial_interval_s, pace.sleep_interval) == (0.5, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "youtube: {sleep_intervall: 3}",
            "youtube.sleep_intervall: unknown key, did you mean youtube.sleep_interval?",
        ),
        ("youtube: {sleep_interval: -3}", "youtube.sleep_interval: should be greater than or equal to 0"),
        (
            "youtube: {sleep_interval: 9, max_sleep_interval: 3}",
            "youtube: max_sleep_interval should not be below",
        ),
        ("youtube: fast", "youtube: should be a section with keys of its own, got 'fast'"),
        ("youtube: {trial_interval_s: 0}", "youtube.trial_interval_s: should be greater than 0"),
    ],
)
def test_a_wrong_site_is_one_line(settings: Settings, tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_sites(settings)
    assert str(caught.value).startswith(f"configs/sites.yaml: {expected}")
