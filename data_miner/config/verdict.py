"""The filter's rule and a box's as pure functions of a configuration and numbers, for where there is no ledger.

The ledger judges by SQL (ledger/sql/verdicts.sql, the view project_box); tests hold both equal on a real server.
Numbers are rounded to single precision first, as the ledger stores and compares them.
"""

from ctypes import c_float
from dataclasses import dataclass

from data_miner.config.schema import Detect, Filter

QUALITY_REASONS = ("too_small", "too_dark", "too_bright", "flat", "too_blurry")
SCORE_REASONS = ("no_match", "negative", "junk", "thin_margin")


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was measured of a picture. Scores are None where the project has no such list, or no text filter."""

    width: int  # px
    height: int
    brightness: float
    contrast: float
    sharpness: float
    positive: float | None = None
    negative: float | None = None
    junk: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a picture does not pass: the reason word, the threshold's name, and by how much it was missed."""

    reason: str
    threshold: str
    distance: float  # in the threshold's own unit; 0 where equal is not enough


def judge(rule: Filter, seen: Numbers) -> Failure | None:
    """Say which threshold a picture fails first, in the ledger's order; None: it passes."""
    return _quality(rule, seen) or (_score(rule, seen) if rule.model else None)


def stands(
    rule: Detect,
    score: float,
    xyxy: tuple[float, float, float, float],
    size: tuple[int, int],
    *,
    agreement: int = 1,
) -> bool:
    """Does a stored box of a picture of (width, height) px count under the project's present rules?"""
    x1, y1, x2, y2 = map(_real, xyxy)
    width, height = _real(x2 - x1), _real(y2 - y1)
    area = _real(width * height) / (size[0] * size[1])  # PostgreSQL divides real by integer in double precision
    return (
        _real(score) >= _real(rule.conf)
        and agreement >= rule.min_agreement
        and _real(rule.min_area) <= area <= _real(rule.max_area)
        and _real(height * _real(rule.min_aspect)) <= width <= _real(height * _real(rule.max_aspect))
    )


def _quality(rule: Filter, seen: Numbers) -> Failure | None:
    darkest, brightest = rule.brightness
    side = min(seen.width, seen.height)
    if side < rule.min_side:
        return Failure("too_small", "min_side", rule.min_side - side)
    return (
        _below("too_dark", "brightness", seen.brightness, darkest)
        or _below("too_bright", "brightness", brightest, seen.brightness)
        or _below("flat", "min_contrast", seen.contrast, rule.min_contrast)
        or _below("too_blurry", "min_sharpness", seen.sharpness, rule.min_sharpness)
    )


def _score(rule: Filter, seen: Numbers) -> Failure | None:
    if seen.positive is None:
        return Failure("unscored", "", 0.0)
    limits = rule.thresholds
    over_negative, over_junk = _difference(seen.positive, seen.negative), _difference(seen.positive, seen.junk)
    return (
        _not_above("no_match", "positive", seen.positive, limits.positive)
        or _not_above("negative", "negative", limits.negative, seen.negative)
        or _not_above("junk", "junk", limits.junk, seen.junk)
        or _not_above("thin_margin", "margin", over_negative, limits.margin)
        or _not_above("thin_margin", "junk_margin", over_junk, limits.junk_margin)
    )


def _below(reason: str, threshold: str, value: float, least: float) -> Failure | None:
    missing = _real(least) - _real(value)
    return Failure(reason, threshold, missing) if missing > 0 else None


def _not_above(reason: str, threshold: str, value: float | None, other: float | None) -> Failure | None:
    if value is None or other is None:
        return None
    missing = _real(other) - _real(value)
    return Failure(reason, threshold, missing) if missing >= 0 else None


def _difference(one: float, other: float | None) -> float | None:
    return None if other is None else _real(_real(one) - _real(other))


def _real(value: float) -> float:
    """The nearest single-precision number, as PostgreSQL's `real`."""
    return c_float(value).value
