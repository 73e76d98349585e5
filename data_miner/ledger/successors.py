"""Successors: which jobs a project lacks, derived and never sent. Safe to run at any time, by anyone."""

from collections.abc import Sequence, Set
from typing import Any

from data_miner.ledger import order, verdicts, videos
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.media.sampling import Sampling, cut_segments
from data_miner.sources.policy import judge, policy_of

WINDOW = 32  # segments that wait for their admission at a time

# What the end of a stage can make possible; of all else a finish would ask in vain.
_ALL = frozenset({"videos", "segments", "filter", "embed", "dedup", "detect"})
_AFTER = {
    "download": _ALL - {"detect"},  # a second project finds segments that are extracted
    "extract": frozenset({"segments", "filter"}),
    "filter": frozenset({"filter", "embed", "dedup"}),
    "embed": frozenset({"embed", "dedup"}),
    "dedup": frozenset({"dedup", "detect"}),
    "detect": frozenset({"detect"}),
}


def derive(cursor: Cursor, project_id: int, video_id: str | None = None, parts: Set[str] = _ALL) -> int:
    """Create or wake every job that the project lacks, for one video or all; returns how many."""
    order.take_turns(cursor, [project_id])
    scope = {"project_id": project_id, "video_id": video_id}
    row = cursor.execute(sql("successors", "plan"), scope).fetchone()
    if row is None or row.is_paused:
        return 0
    scope["video_limit"] = row.video_limit
    made, stages = 0, row.plan["stages"]
    if video_id is None and "expand" in stages:
        made += _insert(cursor, "expand", scope)
    if "videos" in parts and "download" in stages:
        _judge(cursor, row.plan["download"], scope)
        made += _choose(cursor, row.plan["download"], scope)
    if row.is_held_up or made:  # a new download may be blocked at once
        order.settle_holds(cursor, project_id, video_id)
    if "segments" in parts:
        _cut(cursor, row.plan["extract"], scope)
        made += _insert(cursor, "extract", scope) if "extract" in stages else 0
    dedup = row.plan["dedup"]["params"]
    scope.update(window=WINDOW, embedding=dedup.get("embedding"), known=dedup.get("known"))
    for stage in ("filter", "embed", "dedup", "detect"):
        if stage in parts and stage in stages:
            own = {"key": row.plan[stage]["key"], "runtime_key": row.plan[stage]["runtime_key"]}
            made += _insert(cursor, stage, {**scope, **own})
            if stage == "embed" and video_id is None and scope["known"]:
                made += _insert(cursor, "embed_known", {**scope, **own})
    return made


def words_changed(cursor: Cursor, project_id: int) -> None:
    """A person rejected, labelled or took something back: judge, decide and derive anew, from stored numbers.

    Lock the project's videos first; takes its turn.
    """
    verdicts.judge_frames(cursor, project_id)
    order.redecide_all(cursor, project_id)
    derive(cursor, project_id)


def derive_after(cursor: Cursor, project_id: int | None, video_id: str | None, stage: str | None = None) -> int:
    """Derive what the end of a job makes possible: in its project, or in every project that has its video.

    `stage` is what was done, and narrows the questions; None: anything may have changed.
    """
    parts = _AFTER.get(str(stage), _ALL)
    if project_id is not None:
        return derive(cursor, project_id, video_id, parts)
    if video_id is None:
        return 0
    rows = cursor.execute(sql("successors", "projects_of_video"), {"video_id": video_id}).fetchall()
    return sum(derive(cursor, row.project_id, video_id, parts) for row in rows)


def supersede(cursor: Cursor, video_ids: Sequence[str] | None = None) -> None:
    """Put aside what no project wants any more, of these videos or all."""
    cursor.execute(sql("successors", "supersede"), {"video_ids": None if video_ids is None else list(video_ids)})


def _choose(cursor: Cursor, download: dict[str, Any], scope: dict[str, Any]) -> int:
    """Give wanted videos the file that serves them, or a download."""
    own = {**scope, "key": download["key"], "max_height": download["params"]["max_height"]}
    chosen = [row.video_id for row in cursor.execute(sql("successors", "unchosen"), own).fetchall()]
    if chosen:
        for name in ("make_fetch", "assign_fetch"):
            cursor.execute(sql("successors", name), {**own, "video_ids": chosen})
    # A limit counts videos of the whole project: a dropped one makes room for another.
    is_wider = scope["video_limit"] is not None and bool(chosen)
    return _insert(cursor, "download", {**own, "video_id": None} if is_wider else own)


def _judge(cursor: Cursor, download: dict[str, Any], scope: dict[str, Any]) -> None:
    """Drop by policy what a listing or a page showed, and what the site does not give: before any bytes."""
    policy, named = policy_of(download["params"]), {**scope, "policy": download["params"]["policy_key"]}
    rows = cursor.execute(sql("successors", "unjudged"), named).fetchall()
    if not rows:
        return
    reasons = [
        row.refused or judge(videos.info_of(row), policy, is_listed_only=row.metadata_at is None) for row in rows
    ]
    ids = [row.id for row in rows]
    verdict = {"video_ids": ids, "grounds": [row.grounds for row in rows], "reasons": reasons}
    cursor.execute(sql("successors", "judge"), {**named, **verdict})
    dropped = [row.id for row, reason in zip(rows, reasons, strict=True) if reason is not None]
    cut = [row.id for row in rows if row.is_cut and row.id in set(dropped)]
    if cut:
        verdicts.withdraw(cursor, scope["project_id"], cut)
    if dropped:
        supersede(cursor, dropped)


def _cut(cursor: Cursor, extract: dict[str, Any], scope: dict[str, Any]) -> None:
    """Cut fetched videos into segments, the units of all further work."""
    params = extract["params"]
    sampling = Sampling.of(params)
    for row in cursor.execute(sql("successors", "uncut"), scope).fetchall():
        named = {"project_id": scope["project_id"], "video_id": row.video_id, "key": extract["key"]}
        cuts = cut_segments(
            row.first_pts_ms,
            row.duration_ms,
            sampling,
            segment_ms=params["segment_s"] * 1000,
            max_frames=params["max_frames"],
        )
        bounds = {
            "start_ms": [cut.start_ms for cut in cuts],
            "end_ms": [cut.end_ms for cut in cuts],
            "max_frames": [cut.max_frames for cut in cuts],
        }
        cursor.execute(sql("successors", "add_segments"), {"fetch_id": row.fetch_id, "key": extract["key"], **bounds})
        linked = cursor.execute(sql("successors", "link_segments"), named).fetchall()
        # Nearly always behind all that is decided; not when a policy or a limit lets an early video in again.
        order.redecide(cursor, scope["project_id"], [new.segment_id for new in linked])
        cursor.execute(sql("successors", "mark_cut"), named)


def _insert(cursor: Cursor, name: str, parameters: dict[str, Any]) -> int:
    return cursor.execute(sql("successors", name), parameters).rowcount
