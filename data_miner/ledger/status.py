"""What users ask of a project: how far it is, what was dropped and why, what it waits for. Reads only."""

from dataclasses import dataclass
from typing import Any

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

STAGES = ("download", "extract", "filter", "dedup", "detect")
JOB_STATES = ("waiting", "running", "done", "dead", "blocked")


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a project is left."""

    outstanding: int  # waiting or running
    blocked: int  # waiting for a shut site
    dead: int
    open_sources: int
    is_paused: bool = False

    @property
    def is_settled(self) -> bool:
        """Nothing can be done now; what is blocked waits for a site. A paused project is not asked what it lacks."""
        return self.outstanding == 0 and self.open_sources == 0 and not self.is_paused


def progress(cursor: Cursor, project_id: int) -> Progress:
    """Count what is left; the project's anti-join must have been derived before."""
    jobs = _one(cursor, "outstanding", project_id)
    sources = _one(cursor, "open_sources", project_id)
    return Progress(jobs.outstanding, jobs.blocked, jobs.dead, sources.waiting, sources.is_paused)


def stages(cursor: Cursor, project_id: int) -> dict[str, dict[str, int]]:
    """Videos by stage and state."""
    found = {stage: dict.fromkeys(JOB_STATES, 0) for stage in STAGES}
    for row in cursor.execute(sql("status", "stages"), {"project_id": project_id}):
        found[row.stage][row.state] = row.n
    return found


def videos(cursor: Cursor, project_id: int) -> dict[str, int]:
    """Videos by what became of them."""
    row = _one(cursor, "videos", project_id)
    settled = row.skipped + row.mined + row.dead + row.blocked
    return {
        "found": row.found,
        "skipped": row.skipped,
        "waiting": row.found - settled,
        "blocked": row.blocked,
        "downloaded": row.downloaded,
        "mined": row.mined,
        "dead": row.dead,
    }


def skipped(cursor: Cursor, project_id: int) -> dict[str, int]:
    """Skipped and dropped videos by reason, most first."""
    return {row.reason: row.n for row in cursor.execute(sql("status", "skipped"), {"project_id": project_id})}


def frames(cursor: Cursor, project_id: int) -> dict[str, int]:
    """The funnel of frames."""
    row = _one(cursor, "frames", project_id)
    framed = _one(cursor, "frames_with_boxes", project_id)
    return {
        "extracted": row.extracted,
        "good": row.good,
        "passed": row.passed,
        "unique": row.unique_frames,
        "with_boxes": framed.n,
    }


def boxes_by_class(cursor: Cursor, project_id: int) -> dict[str, int]:
    """Boxes of kept frames under the present conf, classes and sizes."""
    return {row.label: row.n for row in cursor.execute(sql("status", "boxes"), {"project_id": project_id})}


def drops(cursor: Cursor, project_id: int) -> dict[str, dict[str, int]]:
    """Dropped frames by stage and reason; videos under download."""
    found: dict[str, dict[str, int]] = {stage: {} for stage in STAGES}
    found["download"] = skipped(cursor, project_id)
    for row in cursor.execute(sql("status", "drops"), {"project_id": project_id}):
        found[row.stage][row.reason] = row.n
    return found


def failures(cursor: Cursor, project_id: int) -> dict[str, dict[str, int]]:
    """Dead jobs by stage and reason."""
    found: dict[str, dict[str, int]] = {}
    for row in cursor.execute(sql("status", "failures"), {"project_id": project_id}):
        found.setdefault(row.stage, {})[row.reason] = row.n
    return found


def sites(cursor: Cursor, project_id: int) -> list[Any]:
    """Sites that the project's sources and videos come from."""
    return cursor.execute(sql("status", "sites"), {"project_id": project_id}).fetchall()


def waits_for(cursor: Cursor, project_id: int) -> list[Any]:
    """Shut sites that hold jobs of the project, with reason, since and next_try."""
    return cursor.execute(sql("status", "waits_for"), {"project_id": project_id}).fetchall()


def full_disk(cursor: Cursor) -> str | None:
    """What a worker said when it found a disk full, while its job waits for room; else None."""
    row = cursor.execute(sql("status", "full_disk")).fetchone()
    return str(row.detail) if row is not None else None


def yields(cursor: Cursor, name: str) -> list[Any]:
    """Images by source, best first."""
    return cursor.execute(sql("status", "yields"), {"name": name}).fetchall()


def _one(cursor: Cursor, name: str, project_id: int) -> Any:
    return cursor.execute(sql("status", name), {"project_id": project_id}).fetchone()
