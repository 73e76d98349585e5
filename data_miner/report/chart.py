"""A histogram as numbers that a template draws: shares of the width, pixels of the height. No markup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from data_miner.ledger.report import Bin
from data_miner.report.findings import Histogram
from data_miner.report.scores import Score, bounds, written

BARS_PX, CURVE_PX = 116, 36
_LABELS = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: where it stands, how high it is, and what it says."""

    x: float  # % of the width
    width: float
    height: float  # px; the square root of the count, or a bin of 50 beside one of 50,000 would not be seen
    solid: float  # px of it: frames that stand every other threshold
    passes: bool
    label: str
    said: str  # on hover and focus
    frames: int
    passing: int
    held: Bin | None  # the frames; None: there is none
    is_near: bool  # of those with frames the next one to the mark, on its side


@dataclass(frozen=True, slots=True)
class Step:
    """What a value of the threshold would let through."""

    value: str
    beyond: int
    passing: int
    change: int
    is_mark: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """One threshold with its histogram."""

    score: Score
    mark: str
    mark_x: float  # % of the width
    outcome: str  # what frames that pass do: are good, match, show a box
    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, str]]  # % of the width, text
    curve: str  # points of a polyline in 0 to 100 by 0 to CURVE_PX
    mark_y: float  # px, of the curve
    steps: Sequence[Step]
    now: int  # frames that pass
    beyond: int  # frames that pass by this score alone
    alone: int  # frames that this threshold alone keeps out


def chart_of(histogram: Histogram) -> Chart:
    """Lay a histogram out; every bin has the same width, also those that grow."""
    score, edges = histogram.score, histogram.edges
    first, last = _span(histogram)
    width = 100 / (last - first + 1)
    place = {edge: (i + 1 - first) * width for i, edge in enumerate(edges) if first <= i + 1 <= last + 1}
    steps = [_step(histogram, edge) for edge in edges if edge in place]
    top = max([step.passing for step in steps], default=0) or 1
    heights = {edge: CURVE_PX * (1 - histogram.passing(edge) / top) for edge in place}
    now = histogram.passing(score.mark)
    bars = [_bar(histogram, number, first, width) for number in range(first, last + 1)]
    return Chart(
        score=score,
        mark=written(score.mark),
        mark_x=place[score.mark],
        outcome="show a box" if score.name == "conf" else "are good" if score.is_quality else "match",
        bars=bars,
        ticks=_ticks(score, place),
        curve=" ".join(f"{x:.2f},{heights[edge]:.2f}" for edge, x in place.items()),
        mark_y=heights[score.mark],
        steps=steps,
        now=now,
        beyond=histogram.beyond(score.mark),
        alone=sum(bar.passing for bar in bars if not bar.passes),
    )


def _span(histogram: Histogram) -> tuple[int, int]:
    """First and last bin drawn: all between the outermost that hold a frame, and those at the mark."""
    held, mark = [found.number for found in histogram.bins], histogram.edges.index(histogram.score.mark)
    return min([*held, mark]), max([*held, mark + 1])


def _bar(histogram: Histogram, number: int, first: int, width: float) -> Bar:
    found = next((found for found in histogram.bins if found.number == number), None)
    frames, passing = (found.frames, found.passing) if found else (0, 0)
    unit = BARS_PX / math.sqrt(max(found.frames for found in histogram.bins))
    mark = histogram.edges.index(histogram.score.mark)
    held = [found.number for found in histogram.bins]
    near = (max((n for n in held if n <= mark), default=None), min((n for n in held if n > mark), default=None))
    return Bar(
        x=(number - first) * width,
        width=width,
        height=max(1.5, unit * math.sqrt(frames)) if frames else 0.0,
        solid=max(1.5, unit * math.sqrt(frames) * passing / frames) if passing else 0.0,
        passes=(number > mark) == histogram.score.passes_above,
        label=_label(histogram.edges, number),
        said=_said(_label(histogram.edges, number), frames, passing),
        frames=frames,
        passing=passing,
        held=found,
        is_near=number in near,
    )


def _label(edges: Sequence[float], number: int) -> str:
    low, high = bounds(edges, number)
    if low is None:
        return f"below {written(edges[0])}"
    return f"{written(low)} to {written(high)}" if high is not None else f"above {written(low)}"


def _said(label: str, frames: int, passing: int) -> str:
    if not frames:
        return f"{label}: no frame"
    which = "all" if passing == frames else f"{passing:,}" if passing else "none"
    return f"{label}: {frames:,} {'frame' if frames == 1 else 'frames'}, {which} of them within all other thresholds"


def _step(histogram: Histogram, edge: float) -> Step:
    passing = histogram.passing(edge)
    mark = histogram.score.mark
    return Step(
        value=written(edge),
        beyond=histogram.beyond(edge),
        passing=passing,
        change=passing - histogram.passing(mark),
        is_mark=edge == mark,
    )


def _ticks(score: Score, place: dict[float, float]) -> list[tuple[float, str]]:
    """Some edges, the mark's among them; it is written over the chart, so not beneath it again."""
    edges = list(place)
    every, mark = max(1, math.ceil(len(edges) / _LABELS)), edges.index(score.mark)
    return [(place[edge], written(edge)) for i, edge in enumerate(edges) if (i - mark) % every == 0 and i != mark]
