"""Sites: tokens by the database's clock, and a circuit that shuts a site before its videos are blamed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from data_miner.config.sites import Pace, Sites
from data_miner.errors import NotNowError
from data_miner.ledger import order
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

STREAK = 5  # alike in a row: it is the site
NETWORK_TRIAL_S = 60.0  # a cable is put back sooner than a block is lifted
SLOWING = frozenset({"rate_limited", "bot_check"})


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What a refusal says that may be the site's or the video's."""

    is_of_site: bool  # the circuit is open, or is to be opened
    is_of_video: bool  # the site served somebody since it last refused this job
    patience_s: float  # until the video is asked for again: its neighbours come first


def ensure(cursor: Cursor, name: str, pace: Pace) -> None:
    """Make a site known with its pace, and lock it; a changed sites.yaml takes effect here."""
    cursor.execute(
        sql("sites", "ensure"),
        {
            "name": name,
            "sleep_interval": pace.sleep_interval,
            "max_sleep_interval": max(pace.max_sleep_interval, pace.sleep_interval),
            "sleep_requests": pace.sleep_requests,
            "max_downloads": pace.max_downloads,
            "trial_interval": pace.trial_interval_s,
        },
    )


def ensure_all(cursor: Cursor, names: Iterable[str | None], paces: Sites) -> None:
    """Make these sites known, in the order in which sites are locked; None is this machine."""
    for name in sorted({name for name in names if name is not None}):
        ensure(cursor, name, paces.pace(name))


def take_download_token(cursor: Cursor, name: str) -> float:
    """Reserve the site's next download slot; returns the seconds to wait for it.

    Raises NotNowError when the site's share of the day is spent.
    """
    row = cursor.execute(sql("sites", "take_download_token"), {"name": name}).fetchone()
    if row is None:
        raise NotNowError(f"{name} has given its share of today (max_downloads)")
    return max(0.0, float(row.wait_s))


def answered(cursor: Cursor, name: str, job_id: int, *, is_served: bool, is_media: bool) -> None:
    """A job of the site ended well. A trial that was served opens the site and brings its jobs back.

    Media alone ends a streak: pages and searches go on while a site refuses every video. Work that was
    under way when the site shut does not open it.
    """
    site = _lock(cursor, name)
    if site is None or not is_served:
        return
    if is_media:
        cursor.execute(sql("sites", "served"), {"name": name})
    if site.state != "open" and site.trial_job == job_id:
        order.take_all_turns(cursor)
        _release(cursor, name)


def suspect(cursor: Cursor, name: str, job_id: int, reason: str) -> Suspicion:
    """Count a refusal that may be the site's."""
    named = {"name": name, "job_id": job_id, "reason": reason}
    row = cursor.execute(sql("sites", "suspect"), named).fetchone()
    if row is None:
        return Suspicion(is_of_site=False, is_of_video=True, patience_s=2.0)
    is_broken = row.streak >= STREAK and not row.serves_others
    return Suspicion(row.state != "open" or is_broken, row.serves_others, row.patience_s)


def shut(cursor: Cursor, name: str, job_id: int, reason: str, detail: str) -> None:
    """Open the circuit: the site's jobs leave the claim, what it called gone lately is asked once more.

    A late failure of work that was under way when the site shut changes nothing; a failed trial shuts again.
    """
    site = _lock(cursor, name)
    if site is None or (site.state != "open" and site.trial_job != job_id):
        return
    order.take_all_turns(cursor)
    named = {"name": name, "reason": reason}
    longest_s = _longest_s(reason)
    cursor.execute(
        sql("sites", "shut"),
        {**named, "detail": detail[:2000], "longest_s": longest_s, "slows": reason in SLOWING},
    )
    cursor.execute(sql("sites", "ask_again"), named)
    cursor.execute(sql("sites", "block_jobs"), named)
    order.settle_holds(cursor)


def tick(cursor: Cursor) -> None:
    """Let one trial job go to each shut site whose time has come; rest sites that gave their share of today."""
    due = cursor.execute(sql("sites", "due_for_trial")).fetchall()
    spent = cursor.execute(sql("sites", "spent_for_today")).fetchall()
    if not due and not spent and not cursor.execute(sql("sites", "any_stray")).rowcount:
        return
    order.take_all_turns(cursor)
    cursor.execute(sql("sites", "block_strays"))
    for row in spent:
        cursor.execute(sql("sites", "rest_until_tomorrow"), {"name": row.name})
        cursor.execute(sql("sites", "block_jobs"), {"name": row.name, "reason": "max_downloads"})
    for row in due:
        if row.reason == "max_downloads":
            _release(cursor, row.name)
        else:
            _try(cursor, row.name, row.reason)
    order.settle_holds(cursor)


def overview(cursor: Cursor) -> list[Any]:
    """One row per site: state, reason, since, next_try, pace, today, blocked jobs."""
    return cursor.execute(sql("sites", "overview")).fetchall()


def _lock(cursor: Cursor, name: str) -> Any:
    return cursor.execute(sql("sites", "lock"), {"name": name}).fetchone()


def _try(cursor: Cursor, name: str, reason: str) -> None:
    trial = cursor.execute(sql("sites", "choose_trial"), {"name": name}).fetchone()
    if trial is None:  # nobody wants anything of the site now; what paused projects want rests
        _release(cursor, name)
        return
    named = {"name": name, "job_id": trial.id, "longest_s": _longest_s(reason)}
    cursor.execute(sql("sites", "start_trial"), named)


def _release(cursor: Cursor, name: str) -> None:
    cursor.execute(sql("sites", "open"), {"name": name})
    cursor.execute(sql("sites", "release_jobs"), {"name": name})
    order.settle_holds(cursor)


def _longest_s(reason: str) -> float:
    return NETWORK_TRIAL_S if reason == "network" else 1e9
