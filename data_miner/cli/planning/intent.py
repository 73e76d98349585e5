"""What a run would do, as lines and as JSON: counts of a forecast beside the hours and bytes they come to."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from data_miner.cli import words
from data_miner.cli.planning import what_if
from data_miner.cli.planning.estimate import Machine, Number, Unasked, Work, estimate, total
from data_miner.cli.planning.unasked import bring
from data_miner.config.identity import config_hash, difference
from data_miner.config.project import restore
from data_miner.config.schema import ProjectConfig
from data_miner.config.sites import Sites
from data_miner.ledger.forecast import Forecast


class Intent:
    """A project's next run."""

    def __init__(self, name: str, config: ProjectConfig, found: Forecast, paces: Sites) -> None:
        self._name, self._config, self._found, self._paces = name, config, found, paces

    def as_dict(self) -> dict[str, Any]:
        """For --json; times in seconds, every number with how it is known."""
        time_s, size, is_paced = total(self._works)
        return {
            "project": self._name,
            "config": config_hash(self._config),
            "changes": self.changes,
            "sources": {"all": len(self._found.sources), "not_asked": self._unasked.sources},
            "videos": {"known": self._found.found, "expected": asdict(self._expected)},
            "skipped": dict(self._found.skipped),
            "passed": {"now": self._found.funnel.get("passed", 0), "then": self._found.passed},
            "change": what_if.as_dict(self._found.change) if self._found.change is not None else None,
            "work": [asdict(work) for work in self._works],
            "time_s": asdict(time_s),
            "size_bytes": asdict(size),
            "is_held_by_a_site": is_paced,
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [*self._differences(), *self._change(), _line("sources", self._sources()), *self._known()]
        if not any(work.items.value for work in self._works):
            return [*lines, _line("to do", "nothing to mine" + self._afterwards())]
        return [*lines, *self._table(), _line("in all", self._total())]

    def _differences(self) -> list[str]:
        """What the configuration changes, and what that does to stored verdicts where the pictures stay."""
        before, now, then = self._found.before, self._found.funnel.get("passed", 0), self._found.passed
        lines = [_line("config", f"{before.config_hash[:6]} → {self._hash}: {change}") for change in self.changes]
        has_pixels = not any(work.items.value for work in self._works if work.stage == "extract")
        if not self.changes or not has_pixels or self._found.change is not None:
            return lines
        waiting = self._found.frames.to_score
        if waiting and self._config.filter.model:
            known = words.number(waiting - self._found.frames.to_embed)
            lines.append(_line("scores", f"{words.number(waiting)} pictures anew, {known} from stored embeddings"))
        elif now != then + waiting:
            then += waiting
            lines.append(_line("match", f"{words.number(now)} → {words.number(then)} ({then - now:+,})"))
        return lines

    def _change(self) -> list[str]:
        if self._found.change is None:
            return []
        return list(what_if.lines(self._found.change, bool(self._config.detect.detectors)))

    def _known(self) -> list[str]:
        found, lines = self._found, list[str]()
        if found.found:
            lines.append(_line("videos", f"{words.number(found.found)} known"))
        if found.skipped:
            counted = f"{words.number(sum(found.skipped.values()))} videos: {words.reasons(found.skipped)}"
            lines.append(_line("skipped", counted))
        return lines

    def _afterwards(self) -> str:
        return "; the dataset follows the new verdicts" if self.changes else ""

    @property
    def _hash(self) -> str:
        return config_hash(self._config)[:6]

    @cached_property
    def changes(self) -> list[str]:
        """What differs from the configuration in the ledger."""
        before = self._found.before
        return difference(restore(before.config, self._name), self._config) if before is not None else []

    @cached_property
    def _unasked(self) -> Unasked:
        return bring(self._found.sources, self._config.sources.sample)

    @property
    def _expected(self) -> Number:
        return self._unasked.online + self._unasked.local

    @cached_property
    def _works(self) -> Sequence[Work]:
        pace = self._paces.pace("youtube" if self._unasked.online.known == "guessed" else None)
        pace_s = (pace.sleep_interval + pace.max_sleep_interval) / 2
        return estimate(self._config, self._found, self._unasked, pace_s, _machine())

    def _sources(self) -> str:
        every, unasked = len(self._found.sources), self._unasked.sources
        if not unasked:
            return f"{every}, all asked before; --refresh asks again"
        about = f"{_number(self._expected)} videos" + _mark(self._expected)
        return f"{every}, of which {unasked} not asked yet: {about}"

    def _table(self) -> list[str]:
        rows = [
            [work.stage, f"{_number(work.items)} {work.unit}{_mark(work.items)}", *_cost(work)]
            for work in self._works
            if work.items.value
        ]
        return words.table(("", "work", "time", "", "disk", ""), rows)

    def _total(self) -> str:
        time_s, size, is_paced = total(self._works)
        held = ", held by a site's pace" if is_paced else ""
        time = f"about {words.duration(time_s.value)} {time_s.known}{held}"
        return f"{time} · {words.size(size.value)} {size.known}"


def _cost(work: Work) -> list[str]:
    time = [words.duration(work.time_s.value), work.time_s.known]
    size = [words.size(work.size_bytes.value), work.size_bytes.known] if work.size_bytes.value else ["", ""]
    return time + size


def _number(number: Number) -> str:
    return (
        f"about {words.number(round(number.value))}" if number.known == "guessed" else words.number(round(number.value))
    )


def _mark(number: Number) -> str:
    return f" ({number.known})"


def _line(name: str, text: str) -> str:
    return f"{name:<11}{text}"


def _machine() -> Machine:
    """What can be used here, without importing torch."""
    from data_miner.engine.devices import cards

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(usable, bool(cards()[0]))
