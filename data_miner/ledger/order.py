"""The data order of a project: whose turn it is, who is held, who goes to the end, where dedup may go on.

Locks are taken in one order everywhere: videos by id, the own job, sites by name, turns by project, the rest.
"""

from collections.abc import Iterable, Sequence

from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


def take_turns(cursor: Cursor, project_ids: Iterable[int]) -> None:
    """Be the only one who changes these projects' derived rows, until the transaction ends."""
    cursor.execute(sql("order", "take_turn"), {"project_ids": sorted(set(project_ids))})


def take_all_turns(cursor: Cursor) -> None:
    """The same for every project: a site's trouble is everybody's."""
    cursor.execute(sql("order", "take_all_turns"))


def settle_holds(cursor: Cursor, project_id: int | None = None, video_id: str | None = None) -> None:
    """Hold what waits for a blocked or dead job; move what does not any more to the end. Needs the turns."""
    scope = {"project_id": project_id, "video_id": video_id}
    changed: dict[int, set[str]] = {}
    for name in ("hold", "unhold"):
        for row in cursor.execute(sql("order", name), scope).fetchall():
            changed.setdefault(row.project_id, set()).add(row.video_id)
    for changed_project, video_ids in sorted(changed.items()):
        redecide_spoken_on(cursor, changed_project, sorted(video_ids))


def is_next(cursor: Cursor, project_id: int, segment_id: int) -> bool:
    """Is every segment before this one decided?"""
    found = cursor.execute(sql("order", "undecided_before"), {"project_id": project_id, "segment_id": segment_id})
    return found.rowcount == 0


def redecide(cursor: Cursor, project_id: int, segment_ids: Sequence[int]) -> None:
    """Let dedup speak again from the first of these segments on. Needs the turn."""
    if segment_ids:
        cursor.execute(sql("order", "redecide"), {"project_id": project_id, "segment_ids": list(segment_ids)})


def redecide_spoken_on(cursor: Cursor, project_id: int, video_ids: Sequence[str]) -> None:
    """Pictures of these videos come, go or move: where a person spoke on one, all is decided anew. Needs the turn."""
    named = {"project_id": project_id, "video_ids": list(video_ids)}
    if cursor.execute(sql("order", "spoken_on"), named).rowcount:
        redecide_all(cursor, project_id)


def redecide_all(cursor: Cursor, project_id: int) -> None:
    """Let dedup speak again from the start: its own rule changed. Needs the turn."""
    cursor.execute(sql("order", "redecide_all"), {"project_id": project_id})
