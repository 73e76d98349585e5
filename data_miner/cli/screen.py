"""Where progress is shown: a live table on a terminal, one JSON line per interval without one. All of it is stderr."""

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from data_miner.ledger.connection import Cursor

INTERVAL_S = 10.0  # between JSON lines
REFRESH_S = 1.0  # between two looks of the live table, or ten times what a look costs


class Screen(ABC):
    """Shows what a subclass sees in the ledger; stdout stays for data."""

    def __init__(self, is_quiet: bool, facts: Callable[[], str]) -> None:
        self._is_quiet, self._facts = is_quiet, facts
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._next_at = 0.0
        self._header = ""

    @abstractmethod
    def _look(self, cursor: Cursor) -> None:
        """Read what is shown."""

    @abstractmethod
    def _table(self, cursor: Cursor) -> Table:
        """What was read, for a terminal."""

    @abstractmethod
    def _line(self) -> Mapping[str, Any] | None:
        """What was read, as a line of JSON; None: there is nothing to say."""

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._is_quiet:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, cursor: Cursor) -> None:
        """Look at the ledger and show it, when it is time."""
        now = time.monotonic()
        if self._is_quiet or now < self._next_at:
            return
        self._look(cursor)
        if self._live is not None:
            self._live.update(self._table(cursor), refresh=True)
            self._next_at = now + max(REFRESH_S, 10 * (time.monotonic() - now))
            return
        line = self._line()
        # What comes is said soon; what goes on, once per interval.
        self._next_at = now + (max(REFRESH_S, 10 * (time.monotonic() - now)) if line is None else INTERVAL_S)
        if line is not None:
            print(json.dumps(line, separators=(",", ":")), file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """One line of talk, above the table."""
        console = self._live.console if self._live is not None else self._console
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def announce(self) -> None:
        """Say the facts when they change: the dashboard's address comes with Ray."""
        header = self._facts()
        if header != self._header and not self._is_quiet:
            self._header = header
            self.say(header)


def nonzero(stages: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Counts by stage and state without the zeros."""
    return {name: {state: n for state, n in counts.items() if n} for name, counts in stages.items()}
