"""What a dataset is made from: kept frames with their numbers, boxes and sides, read in one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.ledger import projects
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.queries import sql


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A project at one moment. Rows are those of sql/projects.sql."""

    project: Any
    frames: Sequence[Any]  # export_rows: by video and time
    boxes: Mapping[tuple[int, int], Sequence[Any]]  # (segment_id, pts_ms) -> export_boxes, best first


def snapshot(ledger: Ledger, project_id: int, *, statement_timeout_s: float = 600) -> Snapshot:
    """Read everything under one configuration, whatever is mined or registered meanwhile."""
    with ledger.transaction(statement_timeout_s=statement_timeout_s) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        named = {"project_id": project_id}
        project = cursor.execute(sql("projects", "by_id"), named).fetchone()
        frames = cursor.execute(sql("projects", "export_rows"), named).fetchall()
        boxes: dict[tuple[int, int], list[Any]] = {}
        for row in cursor.execute(sql("projects", "export_boxes"), named):
            boxes.setdefault((row.segment_id, row.pts_ms), []).append(row)
    return Snapshot(project, frames, boxes)


def keep_sides(cursor: Cursor, project_id: int, drawn: Mapping[str, str]) -> dict[str, str]:
    """Keep drawn sides and return those that hold: where another was faster, its side counts."""
    projects.set_splits(cursor, project_id, drawn)
    return projects.splits(cursor, project_id)
