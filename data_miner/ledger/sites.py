"""Sites: tokens by the database's clock, and a circuit that shuts a site before its videos are blamed."""

from typing import Any

from data_miner.config.sites import Pace
from data_miner.ledger import order
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

STREAK = 5  # alike in a row: it is the site
NETWORK_TRIAL_S = 60.0  # a cable is put back sooner than a block is lifted
SLOWING = frozenset({"rate_limited", "bot_check"})


def ensure(cursor: Cursor, name: str, pace: Pace) -> None:
    """Make a site known with its pace; a changed sites.yaml takes effect here."""
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


def take_download_token(cursor: Cursor, name: str) -> float:
    """Reserve the site's next download slot; returns the seconds to wait for it."""
    row = cursor.execute(sql("sites", "take_download_token"), {"name": name}).fetchone()
    return max(0.0, float(row.wait_s)) if row else 0.0


def succeeded(cursor: Cursor, name: str) -> None:
    """The site answered as it should: the streak ends, a shut site opens and its jobs come back."""
    row = cursor.execute(sql("sites", "succeeded"), {"name": name}).fetchone()
    if row is not None and row.was != "open":
        _release(cursor, name)


def suspect(cursor: Cursor, name: str, job_id: int, reason: str, detail: str) -> str:
    """Count a refusal that may be the site's: returns shut, alone (others are served) or open."""
    row = cursor.execute(sql("sites", "suspect"), {"name": name, "reason": reason}).fetchone()
    if row is not None and (row.state != "open" or row.streak >= STREAK):
        shut(cursor, name, reason, detail)
        return "shut"
    served = cursor.execute(sql("sites", "answers_others"), {"name": name, "job_id": job_id}).rowcount
    return "alone" if served else "open"


def shut(cursor: Cursor, name: str, reason: str, detail: str) -> None:
    """Open the circuit: the site's jobs leave the claim, what it called gone lately is asked once more."""
    longest_s = NETWORK_TRIAL_S if reason == "network" else 1e9
    site = {"name": name, "reason": reason}
    cursor.execute(
        sql("sites", "shut"),
        {**site, "detail": detail[:2000], "longest_s": longest_s, "slows": reason in SLOWING},
    )
    cursor.execute(sql("sites", "ask_again"), site)
    cursor.execute(sql("sites", "block_jobs"), site)
    order.hold_blocked(cursor, name)


def tick(cursor: Cursor) -> None:
    """Let one trial job go to each shut site whose time has come; rest sites that had their share of the day."""
    for row in cursor.execute(sql("sites", "due_for_trial")).fetchall():
        if row.reason == "max_downloads":
            cursor.execute(sql("sites", "set_trial"), {"name": row.name, "state": "open"})
            _release(cursor, row.name)
            continue
        trial = cursor.execute(sql("sites", "start_trial"), {"name": row.name}).fetchall()
        cursor.execute(sql("sites", "set_trial"), {"name": row.name, "state": "trial" if trial else "open"})
        order.unhold(cursor, [found.id for found in trial])
    for row in cursor.execute(sql("sites", "spent_for_today")).fetchall():
        cursor.execute(sql("sites", "rest_until_tomorrow"), {"name": row.name})
        cursor.execute(sql("sites", "block_jobs"), {"name": row.name, "reason": "max_downloads"})
        order.hold_blocked(cursor, row.name)


def overview(cursor: Cursor) -> list[Any]:
    """One row per site: state, reason, since, next_try, pace, today, blocked jobs."""
    return cursor.execute(sql("sites", "overview")).fetchall()


def _release(cursor: Cursor, name: str) -> None:
    order.unhold_blocked(cursor, name)
    cursor.execute(sql("sites", "release_jobs"), {"name": name})
