"""A contact sheet of chosen frames as a page of its own: what a threshold would add, what a list names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_miner.config.project import restore
from data_miner.ledger import report as queries
from data_miner.ledger.connection import Ledger
from data_miner.ledger.report import Key
from data_miner.report.album import fill
from data_miner.report.figures import figure
from data_miner.report.findings import scope_of
from data_miner.report.page import PICTURE_BYTES, write_page
from data_miner.store.artifacts import Store

_MOST_FRAMES = 3000  # figures on one page; a browser draws them in about a second


@dataclass(frozen=True, slots=True)
class SheetFrame:
    """One frame of a sheet; `segment_id` and `pts_ms` as in project_frame."""

    segment_id: int
    pts_ms: int
    lead: str = ""  # first line beneath the picture: "0.285 a glass door"
    note: str = ""  # second line, quieter


@dataclass(frozen=True, slots=True)
class SheetGroup:
    """Frames under one heading, shown in this order."""

    title: str
    frames: Sequence[SheetFrame]
    note: str = ""


def write_sheet(
    ledger: Ledger,
    project: Any,
    store: Store,
    path: Path,
    title: str,
    groups: Sequence[SheetGroup],
    *,
    note: str = "",
    budget_bytes: int = PICTURE_BYTES,
) -> int:
    """Write frames of a project, with their boxes, to one page; returns its size in bytes. UsageError.

    Shows the first frames of every group, 3,000 in all, and says how many there are. What a person rejected is
    not shown.
    """
    share = max(1, _MOST_FRAMES // max(1, len(groups)))
    shown = [group.frames[:share] for group in groups]
    keys: list[list[Key]] = [[(frame.segment_id, frame.pts_ms) for frame in frames] for frames in shown]
    scope = scope_of(project, restore(project.config, project.name))
    flat = list(dict.fromkeys(key for found in keys for key in found))
    with ledger.transaction(statement_timeout_s=600) as cursor:
        queries.begin(cursor)
        rows, boxes = queries.pictures(cursor, scope, flat), queries.boxes(cursor, scope, flat)
    album = fill(store, rows, keys, budget_bytes)
    sections = [
        {
            "title": group.title,
            "note": group.note,
            "count": len(group.frames),
            "figures": [
                figure(rows[key], album, frame.lead, frame.note, boxes.get(key, ()))
                for frame, key in zip(frames, found, strict=True)
                if key in rows
            ],
        }
        for group, frames, found in zip(groups, shown, keys, strict=True)
    ]
    values = {"title": title, "project": project.name, "note": note, "sections": sections}
    return write_page(path, "sheet.html.j2", album, values)
