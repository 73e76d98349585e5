"""Which models a project needs, fetching them, and what is seen meanwhile. How a fetch works is in `models.hub`."""

import re
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from data_miner.cli import words
from data_miner.config.schema import ProjectConfig
from data_miner.errors import ModelError
from data_miner.models import hub, registry
from data_miner.models.hub import Silent
from data_miner.models.registry import ModelRef

LINE_EVERY_S, LINE_EVERY_SHARE = 10.0, 0.1  # without a terminal
_ASKS_IN_WORDS = re.compile(r"yoloe-|.*-world")  # Ultralytics' names of weights that need a text model


def wanted(config: ProjectConfig, folders: Sequence[Path]) -> dict[str, str]:
    """Name -> key of the models that a configuration needs, in the order of the stages.

    folders: where names are looked for, to tell what a detector of one's own needs.
    """
    needs = {config.filter.model: "filter.model", config.dedup.model: "dedup.model"}
    detectors = config.detect.detectors
    needs |= dict.fromkeys(detectors, "detect.models" if config.detect.models else "detect.model")
    if any(_asks_in_words(name, folders) for name in detectors):
        needs.setdefault(config.detect.text_model, "detect.text_model")
    return {name: key for name, key in needs.items() if name}


def absent(config: ProjectConfig, folders: Sequence[Path]) -> list[str]:
    """Names of the needed models that can be fetched and are not whole here. The network is not asked."""
    return [name for name in wanted(config, folders) if registry.is_published(name) and not _is_here(name, folders)]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of a pull, by name."""

    here: Mapping[str, ModelRef]
    fetched: Collection[str]  # of those here, what was not before
    failed: Mapping[str, ModelError]


def pull_all(names: Sequence[str], folders: Sequence[Path], progress: "Meter") -> Pulled:
    """Have every model here; one that fails keeps no other from coming.

    folders: where names are looked for; the first is the one that is written to. A path is only looked for.
    """
    here: dict[str, ModelRef] = {}
    failed: dict[str, ModelError] = {}
    for name in names:
        try:
            here[name] = hub.pull(name, folders[0], progress) if registry.is_published(name) else _found(name, folders)
        except ModelError as error:
            failed[name] = error
    return Pulled(here, [name for name in progress.begun if name in here], failed)


def foretold(names: Sequence[str]) -> str:
    """`a, b: 5.6 GB, fetched first`, as far as their servers tell; after one that does not answer none is asked."""
    total_bytes = 0
    for name in names:
        try:
            total_bytes += hub.describe(name).total_bytes
        except ModelError as error:
            return f"{', '.join(names)}: to be fetched first, but {error}"
    return f"{', '.join(names)}: {words.size(total_bytes)}, fetched first"


def meter(is_quiet: bool = False) -> "Meter":
    """Who shows a pull: a bar on a terminal, a line now and then without one."""
    if is_quiet:
        return Meter()
    return Bar() if sys.stderr.isatty() else Lines()


class Meter(Silent):
    """Shows nothing, and remembers what was fetched."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, name: str, total_bytes: int, place: Path) -> None:
        """See Progress."""
        self.begun.append(name)


class Lines(Meter):
    """A line per tenth, or per ten seconds where that takes longer."""

    def __init__(self) -> None:
        super().__init__()
        self._name, self._total, self._first = "", 0, 0
        self._said_at, self._said, self._started = 0.0, 0, 0.0

    def begin(self, name: str, total_bytes: int, place: Path) -> None:
        """See Progress."""
        super().begin(name, total_bytes, place)
        self._name, self._total, self._said, self._first = name, total_bytes, 0, -1
        self._started = self._said_at = time.monotonic()
        self.say(announcement(name, total_bytes, place))

    def at(self, done_bytes: int) -> None:
        """See Progress."""
        now = time.monotonic()
        if self._first < 0:
            self._first = self._said = done_bytes  # an earlier pull's
            if done_bytes and done_bytes < self._total:
                self.say(f"{self._name}: {words.size(done_bytes)} of it are here already")
            return
        is_far = done_bytes - self._said >= LINE_EVERY_SHARE * self._total > 0
        if not is_far and now - self._said_at < LINE_EVERY_S and done_bytes != self._total:
            return
        self._said_at, self._said = now, done_bytes
        rate = (done_bytes - self._first) / max(now - self._started, 1e-3)
        share = f"{100 * done_bytes // self._total:3d} %, " if self._total else ""
        self.say(f"{self._name}: {share}{words.size(done_bytes)}, {words.size(rate)}/s")

    def say(self, line: str) -> None:
        """See Progress."""
        click.echo(line, err=True)


class Bar(Meter):
    """A bar with bytes, rate and what is left."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._task: Any = None

    def begin(self, name: str, total_bytes: int, place: Path) -> None:
        """See Progress."""
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as RichProgress

        super().begin(name, total_bytes, place)
        click.echo(announcement(name, total_bytes, place), err=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = RichProgress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task(name.rpartition("/")[2], total=total_bytes or None)

    def at(self, done_bytes: int) -> None:
        """See Progress."""
        self._bar.update(self._task, completed=done_bytes)

    def say(self, line: str) -> None:
        """See Progress."""
        click.echo(line, err=True)

    def end(self) -> None:
        """See Progress."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def announcement(name: str, total_bytes: int, place: Path) -> str:
    """`google/siglip2-so400m-patch14-384: 4.5 GB to data/models`."""
    size = words.size(total_bytes) if total_bytes else "size unknown,"
    return f"{name}: {size} to {words.shown(place)}"


def _is_here(name: str, folders: Sequence[Path]) -> bool:
    try:
        return registry.find(name, folders) is not None
    except ModelError:
        return False  # damaged; a pull repairs it, or says why not


def _found(name: str, folders: Sequence[Path]) -> ModelRef:
    ref = registry.find(name, folders)
    if ref is None:
        raise ModelError(f"{name}: no such file or folder, and not a name that can be fetched")
    return ref


def _asks_in_words(name: str, folders: Sequence[Path]) -> bool:
    if _ASKS_IN_WORDS.match(Path(name).name):
        return True
    try:
        ref = registry.find(name, folders)
    except ModelError:
        return False  # said by the plan
    return ref is not None and registry.needs_text(ref)
