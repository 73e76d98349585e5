"""What a configuration would leave to be done: registered, counted, and rolled back. Nothing stays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data_miner.config.sites import Sites
from data_miner.ledger import change, measured, projects, status
from data_miner.ledger.change import Change
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.measured import Rate
from data_miner.ledger.projects import Registration
from data_miner.ledger.queries import sql


@dataclass(frozen=True, slots=True)
class Forecast:
    """Counts under the wanted configuration, and under the present one where both are told."""

    before: Any  # the project's row as it is; None: not mined yet
    funnel: Mapping[str, int]  # of frames, as it is
    passed: int  # frames that would pass
    skipped: Mapping[str, int]  # videos by reason
    found: int  # videos that are known
    sources: Sequence[Any]
    downloads: Sequence[Any]  # by site, None: local files
    uncut: Any
    unextracted: Any
    frames: Any
    sizes: Any
    rates: Mapping[str, Rate]
    change: Change | None = None  # of frames, where pictures and scores stay as they are


Suppose = Callable[[Cursor, int], bool]  # writes what dedup would say; is that exact?


def forecast(
    ledger: Ledger,
    wanted: Registration,
    paces: Sites,
    fps: float,
    max_frames: int | None,
    suppose: Suppose | None = None,
) -> Forecast:
    """Count what `wanted` leaves to do. Locks the project's videos meanwhile: a finish waits some ms.

    With `suppose`, which speaks for dedup, also which frames would come and go at each stage.
    """

    def count(cursor: Cursor) -> Forecast:
        before = projects.find(cursor, wanted.name)
        funnel = status.frames(cursor, before.id) if before is not None else {}
        changed, is_compared = None, before is not None and _is_by_numbers(before, wanted)
        if before is not None and is_compared:
            change.remember(cursor, before.id)
        project_id, _ = projects.register(cursor, wanted, paces)
        if is_compared and suppose is not None:
            has_boxes = before is not None and change.has_same_detector(before.plan, wanted.plan)
            changed = change.compared(cursor, project_id, suppose(cursor, project_id), has_boxes)
        found = _count(cursor, project_id, before, funnel, {"fps": fps, "max_frames": max_frames})
        cursor.connection.rollback()
        return replace(found, change=changed)

    return ledger.with_retry(count, deadline_s=60, statement_timeout_s=600)


def _is_by_numbers(before: Any, wanted: Registration) -> bool:
    """Is it another configuration, under which pictures and scores stay?"""
    return before.config_hash != wanted.config_hash and change.is_by_numbers(before.plan, wanted.plan)


def _count(
    cursor: Cursor, project_id: int, before: Any, funnel: Mapping[str, int], sampling: Mapping[str, Any]
) -> Forecast:
    named = {"project_id": project_id, **sampling}

    def one(name: str) -> Any:
        return cursor.execute(sql("forecast", name), named).fetchone()

    frames = one("frames")
    return Forecast(
        before=before,
        funnel=funnel,
        passed=frames.passed,
        skipped=status.skipped(cursor, project_id),
        found=status.videos(cursor, project_id)["found"],
        sources=cursor.execute(sql("forecast", "sources"), named).fetchall(),
        downloads=cursor.execute(sql("forecast", "downloads"), named).fetchall(),
        uncut=one("uncut"),
        unextracted=one("unextracted"),
        frames=frames,
        sizes=one("sizes"),
        rates=measured.rates(cursor),
    )
