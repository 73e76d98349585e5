"""What an engine shows while it works: every project that has something left to do."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table

from data_miner.cli import words
from data_miner.cli.screen import Screen, nonzero
from data_miner.ledger import projects, status
from data_miner.ledger.connection import Cursor


class Survey(Screen):
    """Shows the progress of all projects that are not through."""

    def __init__(self, is_quiet: bool, facts: Callable[[], str]) -> None:
        super().__init__(is_quiet, facts)
        self._open: dict[str, dict[str, Any]] = {}

    def _look(self, cursor: Cursor) -> None:
        before, self._open = self._open, {}
        for project_id, name in projects.unpaused(cursor):
            left = status.progress(cursor, project_id)
            if not left.is_settled or left.blocked:
                self._open[name] = {
                    "stages": status.stages(cursor, project_id),
                    "frames": status.frames(cursor, project_id),
                }
        for name in sorted(before.keys() - self._open.keys()):
            self.say(f"{name}: nothing is left to do; `data-miner run -p {name}` writes what its dataset lacks")

    def _line(self) -> Mapping[str, Any] | None:
        if not self._open:
            return None
        told = {name: {**seen, "stages": nonzero(seen["stages"])} for name, seen in self._open.items()}
        return {"projects": told}

    def _table(self, cursor: Cursor) -> Table:
        table = Table(box=None, pad_edge=False)
        for header in ("videos left", *status.STAGES, "frames with boxes"):
            table.add_column(header, justify="left" if header == "videos left" else "right")
        for name, seen in self._open.items():
            left = [counts["waiting"] + counts["running"] + counts["blocked"] for counts in seen["stages"].values()]
            table.add_row(name, *map(words.number, left), words.number(seen["frames"]["with_boxes"]))
        if not self._open:
            table.caption, table.caption_justify = "nothing to do", "left"
        return table
