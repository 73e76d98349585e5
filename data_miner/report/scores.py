"""The thresholds of a project as charts need them: present mark, which side passes, bins with an edge at the mark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from data_miner.config.schema import STORED_FROM_SCORE, ProjectConfig
from data_miner.ledger.report import QUALITY

_BINS = 20
_FINEST = 0.001  # a bin; the ledger keeps seven digits
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_RATIOS = (1.1, 1.25, 1.5, 2.0, 4.0)
_SMALL = 0.1
_FAR = 64.0  # times the mark; what lies further off shares one bin


@dataclass(frozen=True, slots=True)
class Score:
    """One threshold: whose score it is on, and where it stands."""

    name: str  # of ledger.report.histogram
    setting: str  # key of the project file
    title: str
    unit: str
    mark: float
    passes_above: bool  # else below
    owns_upper: bool  # of equal scores: "above" and "at most" end bins with the mark, "at least" and "below" start them
    is_ratio: bool = False  # bins grow: sharpness runs from 1 to thousands

    @property
    def is_quality(self) -> bool:
        """Measured on every frame, not only on good ones."""
        return self.name in QUALITY


def scores_of(config: ProjectConfig, has_detector: bool) -> list[Score]:
    """Every threshold that speaks in this project, in the order in which frames meet them."""
    own = config.filter
    found = [
        Score("darkest", "filter.brightness[0]", "Brightness, darkest", "mean luma", own.brightness[0], True, False),
        Score(
            "brightest", "filter.brightness[1]", "Brightness, brightest", "mean luma", own.brightness[1], False, True
        ),
        Score("contrast", "filter.min_contrast", "Contrast", "deviation of luma", own.min_contrast, True, False),
        Score(
            "sharpness", "filter.min_sharpness", "Sharpness", "Laplacian variance", own.min_sharpness, True, False, True
        ),
    ]
    if own.model:
        found += _text_scores(config)
    if has_detector:
        found.append(Score("conf", "detect.conf", "Best box", "detector score", config.detect.conf, True, False))
    return found


def edges_of(score: Score, low: float | None, high: float | None) -> list[float]:
    """Ascending edges of bins over low to high, one of them exactly the mark; empty when nobody has the score."""
    if low is None or high is None:
        return []
    if score.is_ratio:
        return _ratio_edges(score.mark, low, high)
    if score.name == "conf":
        low = STORED_FROM_SCORE
    low, high = min(low, score.mark), max(high, score.mark)
    step = _nice(max((high - low) / _BINS, _FINEST))
    first, last = math.floor((low - score.mark) / step - 1e-9), math.ceil((high - score.mark) / step + 1e-9)
    return [round(score.mark + k * step, 6) if k else score.mark for k in range(first, last + 1)]


def marks_of(config: ProjectConfig) -> dict[str, float]:
    """Thresholds by the names that ledger.report.Scope gives them."""
    own, marks = config.filter, config.filter.thresholds
    return {
        "min_side": own.min_side,
        "sharpness": own.min_sharpness,
        "contrast": own.min_contrast,
        "darkest": own.brightness[0],
        "brightest": own.brightness[1],
        **marks.model_dump(),
        "conf": config.detect.conf,
    }


def written(value: float) -> str:
    """A score as the project file would have it: `0.3`, `40`, `1,250`."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.1f}".removesuffix(".0") if abs(value) >= 10 else f"{value:.3f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def bounds(edges: Sequence[float], number: int) -> tuple[float | None, float | None]:
    """Lower and upper edge of bin `number`; None at the open ends."""
    return (edges[number - 1] if number > 0 else None), (edges[number] if number < len(edges) else None)


def _text_scores(config: ProjectConfig) -> list[Score]:
    marks, own, under = config.filter.thresholds, config.filter, "filter.thresholds."
    found = [Score("positive", f"{under}positive", "Positive", "best positive prompt", marks.positive, True, True)]
    if own.negative:
        found += [
            Score("negative", f"{under}negative", "Negative", "best negative prompt", marks.negative, False, False),
            Score("margin", f"{under}margin", "Margin", "positive − negative", marks.margin, True, True),
        ]
    if own.junk:
        found += [
            Score("junk", f"{under}junk", "Junk", "best junk prompt", marks.junk, False, False),
            Score(
                "junk_margin", f"{under}junk_margin", "Junk margin", "positive − junk", marks.junk_margin, True, True
            ),
        ]
    return found


def _ratio_edges(mark: float, low: float, high: float) -> list[float]:
    """Edges that grow by one factor from the mark both ways; a mark near 0 grows from nothing, so from 1."""
    if mark < _SMALL:
        return [mark, *(edge for edge in _ratio_edges(1.0, low, high) if edge > mark)]
    low, high = max(min(low, mark), mark / _FAR), min(max(high, mark), mark * _FAR)
    ratio = next((r for r in _RATIOS if math.log(high / low, r) <= _BINS), _RATIOS[-1])
    first, last = math.floor(math.log(low / mark, ratio) + 1e-9), math.ceil(math.log(high / mark, ratio) - 1e-9)
    return [_short(mark * ratio**k) if k else mark for k in range(first, last + 1)]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * nice for nice in _NICE if power * nice >= step * (1 - 1e-9))


def _short(value: float) -> float:
    """Three significant digits: 48.828125 is 48.8."""
    return float(f"{value:.3g}")
