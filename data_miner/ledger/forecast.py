"""What a configuration would leave to be done: registered, counted, and rolled back. Nothing stays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.config.sites import Sites
from data_miner.ledger import measured, projects, status
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


def forecast(ledger: Ledger, wanted: Registration, paces: Sites, fps: float, max_frames: int | None) -> Forecast:
    """Count what `wanted` leaves to do. Locks the project's videos meanwhile: a finish waits some ms."""

    def count(cursor: Cursor) -> Forecast:
        before = projects.find(cursor, wanted.name)
        funnel = status.frames(cursor, before.id) if before is not None else {}
        project_id, _ = projects.register(cursor, wanted, paces)
        found = _count(cursor, project_id, before, funnel, {"fps": fps, "max_frames": max_frames})
        cursor.connection.rollback()
        return found

    return ledger.with_retry(count, deadline_s=60, statement_timeout_s=600)


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
