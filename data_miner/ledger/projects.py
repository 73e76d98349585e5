"""Projects: what is mined, under which configuration, followed by whom. Registration applies a change at its cost."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from data_miner.config.sites import Sites
from data_miner.ledger import sites, successors, verdicts
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.records import SourceSpec


@dataclass(frozen=True, slots=True)
class Registration:
    """What a run brings to the ledger."""

    name: str
    config: Mapping[str, Any]
    config_hash: str
    plan: Mapping[str, Any]
    sources: Sequence[SourceSpec]
    video_limit: int | None = None
    is_refreshed: bool = False  # ask every source again


def find(cursor: Cursor, name: str) -> Any | None:
    """A project's row by name."""
    return cursor.execute(sql("projects", "find"), {"name": name}).fetchone()


def names(cursor: Cursor) -> list[str]:
    """Every project there is."""
    return [row.name for row in cursor.execute(sql("projects", "names"))]


def register(cursor: Cursor, wanted: Registration, paces: Sites) -> tuple[int, int]:
    """Make the project what its configuration says, at the cost of what changed; returns (id, jobs derived)."""
    before = find(cursor, wanted.name)
    values = {
        "name": wanted.name,
        "config": Jsonb(wanted.config),
        "config_hash": wanted.config_hash,
        "plan": Jsonb(wanted.plan),
        "video_limit": wanted.video_limit,
    }
    if before is None:
        project_id = int(cursor.execute(sql("projects", "insert"), values).fetchone().id)
    else:
        project_id = int(before.id)
        # The video rows first, as every finish does: a finish in flight is seen, or sees us.
        cursor.execute(sql("projects", "lock_videos"), {"project_id": project_id})
        cursor.execute(sql("projects", "update"), {**values, "project_id": project_id})
    cursor.execute(sql("projects", "remember_config"), {**values, "project_id": project_id})
    _add_sources(cursor, project_id, wanted.sources, paces)
    if wanted.is_refreshed:
        cursor.execute(sql("projects", "refresh_sources"), {"project_id": project_id})
    if before is not None:
        _apply_change(cursor, project_id, before.plan, wanted.plan)
    return project_id, successors.derive(cursor, project_id)


def delete(cursor: Cursor, project_id: int) -> None:
    """Forget a project; videos, frames and boxes stay for others."""
    cursor.execute(sql("projects", "lock_videos"), {"project_id": project_id})
    cursor.execute(sql("projects", "delete"), {"project_id": project_id})
    cursor.execute(sql("successors", "supersede"), {"video_id": None})


def sources(cursor: Cursor, project_id: int) -> list[Any]:
    """A project's sources in order."""
    return cursor.execute(sql("projects", "sources"), {"project_id": project_id}).fetchall()


def plans(cursor: Cursor) -> dict[int, Mapping[str, Any]]:
    """Plans of all projects that are not paused, by id."""
    return {row.id: row.plan for row in cursor.execute(sql("projects", "plans"))}


def active(cursor: Cursor, lease_s: float) -> list[int]:
    """Projects that some living run follows."""
    return [row.project_id for row in cursor.execute(sql("projects", "active"), {"lease_s": lease_s})]


def follow(cursor: Cursor, follower: uuid.UUID, project_id: int, config_hash: str, process: Mapping[str, Any]) -> None:
    """Say that a living run follows the project; to be renewed."""
    cursor.execute(
        sql("projects", "follow"),
        {"id": follower, "project_id": project_id, "config_hash": config_hash, **process},
    )


def unfollow(cursor: Cursor, follower: uuid.UUID) -> None:
    """The run ends."""
    cursor.execute(sql("projects", "unfollow"), {"id": follower})


def followers(cursor: Cursor, project_id: int | None, lease_s: float) -> list[Any]:
    """Runs that follow a project (None: any), with whether they renewed lately."""
    named = {"project_id": project_id, "lease_s": lease_s}
    return cursor.execute(sql("projects", "followers"), named).fetchall()


def exported(cursor: Cursor, project_id: int, version: int, content_hash: str) -> None:
    """A dataset version was written."""
    named = {"project_id": project_id, "version": version, "content_hash": content_hash}
    cursor.execute(sql("projects", "set_version"), named)


def splits(cursor: Cursor, project_id: int) -> dict[str, str]:
    """Sides drawn so far, by video."""
    rows = cursor.execute(sql("projects", "splits"), {"project_id": project_id})
    return {row.video_id: row.split for row in rows}


def set_splits(cursor: Cursor, project_id: int, sides: Mapping[str, str]) -> None:
    """Keep drawn sides; one that is there already never changes."""
    named = {"project_id": project_id, "video_ids": list(sides), "splits": list(sides.values())}
    cursor.execute(sql("projects", "set_split"), named)


def _add_sources(cursor: Cursor, project_id: int, wanted: Sequence[SourceSpec], paces: Sites) -> None:
    for name in sorted({source.site for source in wanted if source.site is not None}):
        sites.ensure(cursor, name, paces.pace(name))
    for source in wanted:
        cursor.execute(
            sql("projects", "add_source"),
            {"project_id": project_id, "kind": source.kind, "locator": source.locator, "site": source.site},
        )


def _apply_change(cursor: Cursor, project_id: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Undo exactly what the new configuration makes untrue; what it lacks is derived afterwards."""
    named = {"project_id": project_id}
    changed = {stage for stage in after if stage != "stages" and before.get(stage, {}) != after[stage]}
    if _key(before, "download") != _key(after, "download") or _key(before, "extract") != _key(after, "extract"):
        cut = [row.video_id for row in cursor.execute(sql("projects", "video_ids"), named).fetchall()]
        verdicts.withdraw(cursor, project_id, cut)
        if _key(before, "download") != _key(after, "download"):
            cursor.execute(sql("projects", "forget_fetches"), named)
    if _key(before, "dedup") != _key(after, "dedup"):
        verdicts.decide_all_again(cursor, project_id)
    if "filter" in changed:
        verdicts.judge_frames(cursor, project_id)


def _key(plan: Mapping[str, Any], stage: str) -> str:
    return str(plan.get(stage, {}).get("key"))
