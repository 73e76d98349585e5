"""What a changed threshold would do: dedup's word supposed in memory, the change in lines, a sheet of its frames."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data_miner.cli import words
from data_miner.config.settings import Settings
from data_miner.errors import NotNowError
from data_miner.ledger import admission, change, frames, known
from data_miner.ledger.admission import Frames
from data_miner.ledger.change import Change
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.stages.kept import VectorOf, VectorPlaces, decide_all, places_of_vectors
from data_miner.store.artifacts import Store

_MOST_SEGMENTS = 2000  # whose vectors are read for an answer within seconds
_NAMES = {"good": "good", "match": "match", "unique": "unique", "boxed": "with boxes"}


class Supposition:
    """Speaks for dedup in a registration that is rolled back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, cursor: Cursor, project_id: int) -> bool:
        """Write what dedup would say; was every frame compared by all that the rule asks for?"""
        params = frames.params(cursor, project_id, "dedup").params
        every = change.passed_frames(cursor, project_id)
        found = admission.standing(cursor, project_id, params.get("known"))
        vector_of = VectorOf.read(self._store, self._places(cursor, params, every, found.rejected), is_lenient=True)
        change.suppose(cursor, project_id, every.places, decide_all(found, every, params, vector_of))
        is_known = not params.get("known") or known.is_kept(cursor, params["known"])
        return is_known and (not params.get("embedding") or all(place in vector_of for place in every.places))

    @staticmethod
    def _places(cursor: Cursor, params: Any, *groups: Frames) -> VectorPlaces | None:
        """Where vectors lie, unless reading them would take too long or known pictures have none yet."""
        if sum(len(np.unique(rows.segment_ids)) for rows in groups) > _MOST_SEGMENTS:
            return None
        try:
            return places_of_vectors(cursor, params, groups)
        except NotNowError:
            return None


def lines(found: Change, has_detector: bool) -> Iterator[str]:
    """The steps that change, now and then."""
    rows = []
    for name, step in found.steps.items():
        if name == "boxed" and not has_detector:
            continue
        if step.enter or step.leave:
            about = "" if found.is_exact or name in ("good", "match") else "about "
            least = "at least " if name == "boxed" and step.enter else about
            rows.append([_NAMES[name], words.number(step.now), f"{least}{words.number(step.then)}", _moves(step)])
    if rows:
        yield from words.table(("from stored scores", "now", "then", ""), rows)
    elif not found.is_exact:
        yield "from stored hashes: no frame comes or goes; what embeddings tell apart is known when they are there"
    elif "boxed" not in found.steps and has_detector:
        yield "from stored scores: no frame comes or goes; what has a box is known when the detector has looked"
    else:
        yield "from stored scores: no frame comes or goes"


def as_dict(found: Change) -> dict[str, Any]:
    """For --json."""
    return {"steps": {name: asdict(step) for name, step in found.steps.items()}, "is_exact": found.is_exact}


def write_sheet(
    found: Change, ledger: Ledger, project: Any, store: Store, settings: Settings, changes: Sequence[str]
) -> Path | None:
    """A page of exactly the frames that change, each at the first stage where it does; None when none does."""
    from data_miner.report.sheet import SheetGroup, write_sheet

    groups = []
    for level, name in enumerate(found.steps, 1):
        for title, is_coming in ((f"would be {_NAMES[name]}", True), (f"would be {_NAMES[name]} no more", False)):
            own = [row for row in found.frames if _step(row) == (level, is_coming)]
            if own:
                groups.append(SheetGroup(title, [_shown(row) for row in own], f"{words.number(len(own))} frames"))
    if not groups:
        return None
    path = settings.data / "reports" / f"plan-{project.name}-{_slug(changes)}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sheet(ledger, project, store, path, f"{project.name}: {'; '.join(changes)}", groups)
    return path


def _step(row: Any) -> tuple[int, bool]:
    return min(row.was, row.becomes) + 1, row.becomes > row.was


def _shown(row: Any) -> Any:
    from data_miner.report.sheet import SheetFrame

    if row.positive is None:
        return SheetFrame(row.segment_id, row.pts_ms, f"sharpness {row.sharpness:.0f}")
    against = f"{row.negative:.3f} {row.negative_prompt}" if row.negative is not None else ""
    return SheetFrame(row.segment_id, row.pts_ms, f"{row.positive:.3f} {row.positive_prompt}", against)


def _slug(changes: Sequence[str]) -> str:
    """`positive-0.24` of `filter.thresholds.positive 0.3 → 0.24`."""
    key, _, value = changes[0].partition(" ") if changes else ("now", "", "")
    text = f"{key.rpartition('.')[2]}-{value.rpartition('→')[2].strip()}"
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text)[:60].strip("-")


def _moves(step: change.Step) -> str:
    return f"+{words.number(step.enter)} −{words.number(step.leave)}"
