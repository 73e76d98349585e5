"""What a run shows while it works: a live table on a terminal, one JSON line per interval without one."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.live import Live
from rich.table import Table

from data_miner.cli import words
from data_miner.cli.summary import funnel
from data_miner.ledger import measured, status
from data_miner.ledger.connection import Cursor

INTERVAL_S = 10.0  # between JSON lines
REFRESH_S = 1.0  # between two looks of the live table, or ten times what a look costs
WINDOW_S = 120.0  # the rate is that of the last two minutes
_STATES = ("waiting", "running", "done", "blocked", "dead")
Stages = Mapping[str, Mapping[str, int]]


class Speed:
    """How many videos a stage ends a minute, from what was seen of it."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def look(self, now: float, stages: Stages) -> None:
        """Note how many are done now."""
        self._seen.append((now, {stage: counts["done"] for stage, counts in stages.items()}))
        while now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    def per_minute(self, stage: str) -> float | None:
        """The rate of a stage; None before anything ended."""
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        ended = last[stage] - first[stage]
        return 60 * ended / (last_at - first_at) if ended > 0 and last_at > first_at else None


class Progress:
    """Shows a project's progress on stderr; stdout stays for data."""

    def __init__(self, project_id: int, name: str, is_quiet: bool, facts: Callable[[], str]) -> None:
        self._project_id, self._name, self._is_quiet, self._facts = project_id, name, is_quiet, facts
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._next_at = 0.0
        self._speed = Speed()
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
        if now < self._next_at:
            return
        stages, frames = status.stages(cursor, self._project_id), status.frames(cursor, self._project_id)
        self._speed.look(now, stages)
        if self._live is not None:
            self._live.update(self._table(stages, frames, self._slots(cursor)), refresh=True)
            self._next_at = now + max(REFRESH_S, 10 * (time.monotonic() - now))
        else:
            self._next_at = now + INTERVAL_S
            nonzero = {name: {state: n for state, n in counts.items() if n} for name, counts in stages.items()}
            line = {"project": self._name, "stages": nonzero, "frames": frames}
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

    def _slots(self, cursor: Cursor) -> str:
        """Which sites hold the downloads back, and for how long."""
        held = [
            site for site in measured.sites(cursor, self._project_id) if site.state == "open" and site.next_slot_s >= 1
        ]
        return " · ".join(f"{site.name}: next in {site.next_slot_s:.0f} s" for site in held)

    def _table(self, stages: Stages, frames: Mapping[str, int], slots: str) -> Table:
        table = Table(box=None, pad_edge=False)
        for header in ("videos", *_STATES, "rate", "eta", ""):
            table.add_column(header, justify="left" if header in ("videos", "") else "right")
        for stage, counts in stages.items():
            rate, left = self._speed.per_minute(stage), counts["waiting"] + counts["running"]
            table.add_row(
                stage,
                *(words.number(counts[state]) for state in _STATES),
                f"{words.number(round(rate, 1))}/min" if rate else "",
                words.duration(60 * left / rate) if rate and left else "",
                slots if stage == "download" else "",
            )
        table.caption = funnel(frames)
        table.caption_justify = "left"
        return table
