"""Which frames a configuration would bring in or take out, stage by stage. Lives inside a transaction rolled back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.ledger.admission import Frames, Verdict, frames_of
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql

STAGES = ("good", "match", "unique", "boxed")  # how far a frame comes: 1 to 4
_MOST_FRAMES = 20_000  # that are named one by one; all are counted


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: frames that reach it now and then, and those that come and go."""

    now: int
    then: int
    enter: int
    leave: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a configuration would change for frames that are here."""

    steps: Mapping[str, Step]  # by STAGES; without boxed when another detector is to look first
    frames: Sequence[Any]  # segment_id, pts_ms, was, becomes (levels), positive, positive_prompt, …; lowest score first
    is_exact: bool  # else dedup lacks vectors of new frames, and compared those by hash only


def is_by_numbers(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Do pictures and scores stay, so that stored numbers tell what changes?"""
    return all(before[stage]["key"] == after[stage]["key"] for stage in ("download", "extract", "filter"))


def has_same_detector(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Do stored boxes stay, or does another detector look first?"""
    return bool(_detector(before) == _detector(after))


def remember(cursor: Cursor, project_id: int) -> None:
    """Note how far each frame comes now."""
    cursor.execute(sql("change", "remember"), {"project_id": project_id})


def passed_frames(cursor: Cursor, project_id: int) -> Frames:
    """All passed frames of a project in data order."""
    return frames_of(cursor.execute(sql("change", "passed"), {"project_id": project_id}).fetchall())


def suppose(cursor: Cursor, project_id: int, places: Sequence[tuple[int, int]], verdicts: Sequence[Verdict]) -> None:
    """Write dedup's verdicts on (segment_id, pts_ms), for what is asked in this transaction."""
    cursor.execute(
        sql("change", "suppose"),
        {
            "project_id": project_id,
            "segments": [segment for segment, _ in places],
            "pts_ms": [pts_ms for _, pts_ms in places],
            "reasons": [verdict.reason for verdict in verdicts],
        },
    )


def compared(cursor: Cursor, project_id: int, is_exact: bool, has_boxes: bool = True) -> Change:
    """Compare what was remembered with how far each frame comes now; `has_boxes`: the detector stays."""
    told = STAGES if has_boxes else STAGES[:-1]
    named = {"project_id": project_id, "most": _MOST_FRAMES, "highest": len(told)}
    cursor.execute(sql("change", "level_both"), named)
    counted = cursor.execute(sql("change", "count"), named).fetchone()
    assert counted is not None
    steps = {
        name: Step(*(getattr(counted, f"{name}_{part}") for part in ("now", "then", "enter", "leave"))) for name in told
    }
    return Change(steps, cursor.execute(sql("change", "frames"), named).fetchall(), is_exact)


def _detector(plan: Mapping[str, Any]) -> Any:
    return plan.get("detect", {}).get("key")
