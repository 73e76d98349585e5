"""Successors: which jobs a project lacks, derived and never sent. Safe to run at any time, by anyone, twice."""

from typing import Any

from data_miner.ledger import order, verdicts, videos
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.media.sampling import Sampling, cut_segments
from data_miner.sources.policy import judge, policy_of


def derive(cursor: Cursor, project_id: int, video_id: str | None = None) -> int:
    """Create or wake every job that the project lacks, for one video or all; returns how many."""
    row = cursor.execute(sql("successors", "plan"), {"project_id": project_id}).fetchone()
    if row is None or row.is_paused:
        return 0
    scope = {"project_id": project_id, "video_id": video_id}
    made = _derive_media(cursor, row.plan, scope, row.video_limit) + _derive_frames(cursor, row.plan, scope)
    cursor.execute(sql("successors", "supersede"), {"video_id": video_id})
    return made


def derive_after(cursor: Cursor, project_id: int | None, video_id: str | None) -> int:
    """Derive what the end of a job makes possible: in its project, or in every project that has its video."""
    if project_id is not None or video_id is None:
        return derive(cursor, project_id, video_id) if project_id is not None else 0
    rows = cursor.execute(sql("successors", "projects_of_video"), {"video_id": video_id}).fetchall()
    return sum(derive(cursor, row.project_id, video_id) for row in rows)


def _derive_media(cursor: Cursor, plan: dict[str, Any], scope: dict[str, Any], limit: int | None) -> int:
    """Sources, downloads, segments: what belongs to the video and serves every project."""
    made, stages = 0, plan["stages"]
    if "download" in stages:
        if scope["video_id"] is None:
            made += _insert(cursor, "expand", scope)
        _judge(cursor, plan["download"], scope)
        own = {**scope, "key": plan["download"]["key"], "max_height": plan["download"]["params"]["max_height"]}
        # A limit counts videos of the whole project, so the choice is never narrowed to one of them.
        choice = {**own, "video_limit": limit, "video_id": None if limit is not None else scope["video_id"]}
        chosen = cursor.execute(sql("successors", "choose_fetch"), choice).fetchall()
        cursor.execute(sql("successors", "assign_fetch"), {**own, "video_ids": [r.video_id for r in chosen]})
        made += _insert(cursor, "download", {**own, "video_id": choice["video_id"]})
    _cut(cursor, plan["extract"], scope)
    if "extract" in stages:
        made += _insert(cursor, "extract", scope)
    return made


def _derive_frames(cursor: Cursor, plan: dict[str, Any], scope: dict[str, Any]) -> int:
    """Filter, dedup and detect: what belongs to one project."""
    stages = plan["stages"]
    if "filter" not in stages:
        return 0
    cursor.execute(sql("successors", "take_turn"), scope)
    made = _insert(cursor, "filter", {**scope, **_keys(plan["filter"])})
    frontier = cursor.execute(sql("order", "frontier"), scope).fetchone()
    place = {
        "frontier": frontier is not None,
        "moved": frontier and frontier.moved,
        "ordinal": frontier and frontier.ordinal,
        "rank": frontier and frontier.rank,
        "at_video": frontier and frontier.video_id,
        "start_ms": frontier and frontier.start_ms,
        "filter_key": plan["filter"]["key"],
    }
    if "dedup" in stages:
        made += _insert(cursor, "dedup", {**scope, **_keys(plan["dedup"]), **place})
    if "detect" in stages:
        # One video's verdict can open the way for others: the frontier is the project's, so is the question.
        made += _insert(cursor, "detect", {**scope, **_keys(plan["detect"]), **place, "video_id": None})
    return made


def _judge(cursor: Cursor, download: dict[str, Any], scope: dict[str, Any]) -> None:
    """Drop by policy what a listing or a page showed: a verdict of this project, before any bytes.

    Reading the page resets `judged`, so what a listing alone let pass is judged once more.
    """
    policy, named = policy_of(download["params"]), {**scope, "policy": download["params"]["policy_key"]}
    for row in cursor.execute(sql("successors", "unjudged"), named).fetchall():
        reason = judge(videos.info_of(row), policy, is_listed_only=row.metadata_at is None)
        cursor.execute(sql("successors", "judge"), {**named, "video_id": row.id, "reason": reason})
        if reason is not None and row.is_cut:
            verdicts.withdraw(cursor, scope["project_id"], [row.id])


def _cut(cursor: Cursor, extract: dict[str, Any], scope: dict[str, Any]) -> None:
    """Cut fetched videos into segments, the units of all further work."""
    params = extract["params"]
    sampling = Sampling(strategy=params["strategy"], fps=params["fps"])
    for row in cursor.execute(sql("successors", "uncut"), scope).fetchall():
        named = {"project_id": scope["project_id"], "video_id": row.video_id, "key": extract["key"]}
        cuts = cut_segments(
            row.first_pts_ms,
            row.duration_ms,
            sampling,
            segment_ms=params["segment_s"] * 1000,
            max_frames=params["max_frames"],
        )
        for cut in cuts:
            cursor.execute(
                sql("successors", "add_segment"),
                {
                    "fetch_id": row.fetch_id,
                    "key": extract["key"],
                    "start_ms": cut.start_ms,
                    "end_ms": cut.end_ms,
                    "max_frames": cut.max_frames,
                },
            )
        cursor.execute(sql("successors", "link_segments"), named)
        cursor.execute(sql("successors", "mark_cut"), named)


def _insert(cursor: Cursor, name: str, parameters: dict[str, Any]) -> int:
    rows = cursor.execute(sql("successors", name), parameters).fetchall()
    order.hold(cursor, *[row.id for row in rows if row.state == "blocked"])
    return len(rows)


def _keys(stage: dict[str, Any]) -> dict[str, str]:
    return {"key": stage["key"], "runtime_key": stage.get("runtime_key", "")}
