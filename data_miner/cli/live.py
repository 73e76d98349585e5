"""What a run shows while it works: a live table on a terminal, one JSON line per interval without one."""

import json
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from data_miner.cli.summary import funnel
from data_miner.ledger import status
from data_miner.ledger.connection import Cursor

INTERVAL_S = 10.0  # between JSON lines
_HEADERS = ("videos", "waiting", "running", "done", "blocked", "dead")


class Progress:
    """Shows a project's progress on stderr; stdout stays for data."""

    def __init__(self, project_id: int, name: str, is_quiet: bool, facts: Callable[[], str]) -> None:
        self._project_id, self._name, self._is_quiet, self._facts = project_id, name, is_quiet, facts
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._shown_at = 0.0
        self._header = ""

    def __enter__(self) -> "Progress":
        if self._console.is_terminal and not self._is_quiet:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, cursor: Cursor) -> None:
        """Look at the ledger and show it, when it is time."""
        if self._is_quiet:
            return
        now = time.monotonic()
        if self._live is None and now - self._shown_at < INTERVAL_S:
            return
        self._shown_at = now
        stages, frames = status.stages(cursor, self._project_id), status.frames(cursor, self._project_id)
        if self._live is not None:
            self._live.update(self._table(stages, frames), refresh=True)
        else:
            line = {
                "project": self._name,
                "stages": {name: _nonzero(n) for name, n in stages.items()},
                "frames": frames,
            }
            print(json.dumps(line, separators=(",", ":")), file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """One line of talk, above the table."""
        console = self._live.console if self._live is not None else self._console
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def announce(self) -> None:
        """Say the run's facts when they change: the dashboard's address comes with Ray."""
        header = self._facts()
        if header != self._header and not self._is_quiet:
            self._header = header
            self.say(header)

    def _table(self, stages: dict[str, dict[str, int]], frames: dict[str, int]) -> Table:
        table = Table(box=None, pad_edge=False)
        for header in _HEADERS:
            table.add_column(header, justify="left" if header == "videos" else "right")
        for stage, counts in stages.items():
            table.add_row(stage, *(str(counts[state]) for state in _HEADERS[1:]))
        table.caption = funnel(frames)
        table.caption_justify = "left"
        return table


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {state: n for state, n in counts.items() if n}
