"""Doctor's look at what downloads stand on: yt-dlp, its JavaScript runtime, the sites. Asks none."""

import os
import re
from datetime import date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from data_miner.cli import words
from data_miner.cli.checks.check import Check, failed, warned
from data_miner.cli.context import NothingYetError, open_ledger
from data_miner.config.settings import Settings
from data_miner.config.sites import load_sites
from data_miner.errors import SchemaMismatchError, UnreachableError
from data_miner.ledger import sites as ledger_sites

OLD_DAYS = 30  # sites change under yt-dlp; older than this it begins to lose them
_COOKIES = "DATA_MINER_COOKIES_"


def javascript() -> Check:
    """YouTube hides most formats without a runtime (yt-dlp#15012)."""
    from data_miner.sources.client import js_runtime

    found = js_runtime()
    if found is None:
        text = "no JavaScript runtime; YouTube hides most formats without one"
        return failed("js", text, 'pip install "yt-dlp[default,deno]"')
    path, version = found
    return Check("js", f"{version}, {path}")


def yt_dlp(today: date | None = None) -> Check:
    """Its version is its date."""
    try:
        version = metadata.version("yt-dlp")
    except metadata.PackageNotFoundError:
        return failed("yt-dlp", "not installed", 'pip install "yt-dlp[default,deno]"')
    days = age_days(version, today or datetime.now().astimezone().date())
    if days is None:
        return Check("yt-dlp", version)
    if days > OLD_DAYS:
        return warned("yt-dlp", f"{version}, {days} days old; sites change faster", "make upgrade-yt-dlp")
    return Check("yt-dlp", f"{version}, {days} day{'s' if days != 1 else ''} old")


def age_days(version: str, today: date) -> int | None:
    """Days since a version like 2026.8.19 or 2026.10.26.232815.dev0; None when it is no date."""
    found = re.match(r"(\d{4})\.(\d{1,2})\.(\d{1,2})(?:\D|$)", version)
    try:
        return (today - date(*map(int, found.groups()))).days if found else None
    except ValueError:
        return None


def sites(settings: Settings) -> Check:
    """Which sites have shut us out, and whether the cookie files can be read."""
    unreadable = [name for name in os.environ if name.startswith(_COOKIES) and not _readable(os.environ[name])]
    if unreadable:
        return failed("sites", f"{unreadable[0]} names no readable file", f"unset {unreadable[0]}")
    rows: list[Any] = []
    try:
        with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
            rows = ledger_sites.overview(cursor)
    except (NothingYetError, SchemaMismatchError, UnreachableError):
        pass  # postgres says why
    shut = [row for row in rows if row.state != "open"]
    if shut:
        return failed("sites", "; ".join(map(_shut, shut)), _cure(shut[0].reason or ""))
    named = load_sites(settings).named
    paces = ", ".join(f"{name} one video every {_pace(pace)}" for name, pace in named.items())
    return Check("sites", f"{len(rows)} asked so far, all open" + (f" · {paces}" if paces else ""))


def _readable(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.R_OK)


def _shut(row: Any) -> str:
    return f"{row.name} {row.reason} since {words.clock(row.since)}, next try {words.clock(row.next_try)}"


def _cure(reason: str) -> str:
    if reason == "extractor_broken":
        return "make upgrade-yt-dlp"
    if reason in ("bot_check", "rate_limited"):
        return "wait, run asks again by itself; a longer sleep_interval in configs/sites.yaml helps"
    if reason == "network":
        return "check the network and the proxy of this machine, e.g. curl -I https://www.youtube.com"
    return "wait: run asks again by itself at the time above"


def _pace(pace: Any) -> str:
    low, high = words.number(pace.sleep_interval), words.number(pace.max_sleep_interval)
    return f"{low} s" if low == high else f"{low} to {high} s"
