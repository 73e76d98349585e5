"""What a run shows while it works: its project's stages."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table

from data_miner.cli import words
from data_miner.cli.screen import Screen, nonzero
from data_miner.cli.summary import funnel
from data_miner.ledger import measured, status
from data_miner.ledger.connection import Cursor

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


class Progress(Screen):
    """Shows one project's progress."""

    def __init__(self, project_id: int, name: str, is_quiet: bool, facts: Callable[[], str]) -> None:
        super().__init__(is_quiet, facts)
        self._project_id, self._name = project_id, name
        self._speed = Speed()
        self._stages: Stages = {}
        self._frames: Mapping[str, int] = {}

    def _look(self, cursor: Cursor) -> None:
        self._stages = status.stages(cursor, self._project_id)
        self._frames = status.frames(cursor, self._project_id)
        self._speed.look(time.monotonic(), self._stages)

    def _line(self) -> Mapping[str, Any]:
        return {"project": self._name, "stages": nonzero(self._stages), "frames": self._frames}

    def _slots(self, cursor: Cursor) -> str:
        """Which sites hold the downloads back, and for how long."""
        held = [
            site for site in measured.sites(cursor, self._project_id) if site.state == "open" and site.next_slot_s >= 1
        ]
        return " · ".join(f"{site.name}: next in {site.next_slot_s:.0f} s" for site in held)

    def _table(self, cursor: Cursor) -> Table:
        slots = self._slots(cursor)
        table = Table(box=None, pad_edge=False)
        for header in ("videos", *_STATES, "rate", "eta", ""):
            table.add_column(header, justify="left" if header in ("videos", "") else "right")
        for stage, counts in self._stages.items():
            rate, left = self._speed.per_minute(stage), counts["waiting"] + counts["running"]
            table.add_row(
                stage,
                *(words.number(counts[state]) for state in _STATES),
                f"{words.number(round(rate, 1))}/min" if rate else "",
                words.duration(60 * left / rate) if rate and left else "",
                slots if stage == "download" else "",
            )
        table.caption = funnel(self._frames)
        table.caption_justify = "left"
        return table
