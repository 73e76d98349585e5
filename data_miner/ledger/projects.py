"""Projects: what is mined, under which configuration, followed by whom. A change costs what it changes."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from data_miner.config.sites import Sites
from data_miner.ledger import order, sites, successors, verdicts
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
    """Make the project what its configuration says, at the cost of what changed; returns id, jobs derived."""
    values = {
        "name": wanted.name,
        "config": Jsonb(wanted.config),
        "config_hash": wanted.config_hash,
        "plan": Jsonb(wanted.plan),
        "video_limit": wanted.video_limit,
    }
    before = find(cursor, wanted.name)
    if before is None:
        cursor.execute(sql("projects", "insert"), values)  # two first runs at once: the second waits here
        before = find(cursor, wanted.name)
        assert before is not None
    named = {"project_id": int(before.id)}
    # The video rows first, as every finish does: a finish in flight is seen, or sees us.
    cursor.execute(sql("projects", "lock_videos"), named)
    sites.ensure_all(cursor, [source.site for source in wanted.sources], paces)
    order.take_turns(cursor, [before.id])
    before = find(cursor, wanted.name)  # as it is now that nobody else changes it
    assert before is not None
    cursor.execute(sql("projects", "update"), {**values, **named})
    cursor.execute(sql("projects", "remember_config"), {**values, **named})
    for source in wanted.sources:
        own = {"kind": source.kind, "locator": source.locator, "site": source.site}
        cursor.execute(sql("projects", "add_source"), {**named, **own})
    if wanted.is_refreshed:
        cursor.execute(sql("projects", "refresh_sources"), named)
    _apply_change(cursor, before.id, before.plan, wanted.plan)
    return int(before.id), successors.derive(cursor, before.id)


def delete(cursor: Cursor, project_id: int) -> None:
    """Forget a project; videos, frames and boxes stay for others."""
    named = {"project_id": project_id}
    cursor.execute(sql("projects", "lock_videos"), named)
    order.take_turns(cursor, [project_id])
    cursor.execute(sql("projects", "delete"), named)
    successors.supersede(cursor)


def pause(cursor: Cursor, project_id: int) -> bool:
    """Let a project rest: what is running ends, nothing of it begins. False when it rests already."""
    named = {"project_id": project_id}
    cursor.execute(sql("projects", "lock_videos"), named)  # first, as every finish does
    order.take_turns(cursor, [project_id])
    if not cursor.execute(sql("projects", "set_paused"), {**named, "is_paused": True}).rowcount:
        return False
    cursor.execute(sql("projects", "rest"), named)
    return True


def resume(cursor: Cursor, project_id: int) -> bool:
    """Let it go on, with what it lacks by now. False when it does not rest."""
    named = {"project_id": project_id}
    cursor.execute(sql("projects", "lock_videos"), named)
    order.take_turns(cursor, [project_id])
    if not cursor.execute(sql("projects", "set_paused"), {**named, "is_paused": False}).rowcount:
        return False
    cursor.execute(sql("projects", "rouse"), named)
    successors.derive(cursor, project_id)
    return True


def sources(cursor: Cursor, project_id: int) -> list[Any]:
    """A project's sources in order."""
    return cursor.execute(sql("projects", "sources"), {"project_id": project_id}).fetchall()


def plans(cursor: Cursor) -> dict[int, Mapping[str, Any]]:
    """Plans of all projects that are not paused, by id."""
    return {row.id: row.plan for row in cursor.execute(sql("projects", "plans"))}


def unpaused(cursor: Cursor) -> list[tuple[int, str]]:
    """Id and name of every project that is not paused, by name."""
    return sorted(((row.id, row.name) for row in cursor.execute(sql("projects", "plans"))), key=lambda own: own[1])


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


def _apply_change(cursor: Cursor, project_id: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Undo exactly what the new configuration makes untrue; what it lacks is derived afterwards."""
    named = {"project_id": project_id}
    lost: list[str] = []
    if _key(before, "download") != _key(after, "download"):
        own = {
            **named,
            "key": _key(after, "download"),
            "max_height": after["download"]["params"]["max_height"],
        }
        lost = [row.video_id for row in cursor.execute(sql("projects", "unserved"), own).fetchall()]
    if _key(before, "extract") != _key(after, "extract"):
        cut = [row.video_id for row in cursor.execute(sql("projects", "cut_videos"), named).fetchall()]
        verdicts.withdraw(cursor, project_id, sorted({*lost, *cut}))
    elif lost:
        verdicts.withdraw(cursor, project_id, lost)
    cursor.execute(sql("projects", "forget_fetches"), {**named, "video_ids": lost})
    if _key(before, "dedup") != _key(after, "dedup"):
        order.redecide_all(cursor, project_id)
        cursor.execute(sql("projects", "ask_known_again"), named)
    if _key(before, "filter") != _key(after, "filter"):
        verdicts.filter_all_again(cursor, project_id)
    elif before["filter"] != after["filter"]:
        verdicts.judge_frames(cursor, project_id)
    if before != after:
        successors.supersede(cursor)


def _key(plan: Mapping[str, Any], stage: str) -> str:
    return str(plan.get(stage, {}).get("key"))
