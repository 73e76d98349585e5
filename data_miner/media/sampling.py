"""Which instants of a video are wanted, and which segment owns them. Exact arithmetic; opens no media."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any, TypeVar

T = TypeVar("T")

STRATEGIES = ("interval", "keyframe", "scene")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pictures are chosen: `interval` every 1 / fps seconds, every `keyframe`, or one of each `scene`.

    `fps` is for `interval` alone, `scene_threshold` (PySceneDetect's, see `scenes.py`) for `scene` alone. `fps` may
    be given as int, float or text; 0.1 means a tenth, not the binary number next to it.
    """

    strategy: str
    fps: Fraction = Fraction(1)
    scene_threshold: float = 27.0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy {self.strategy!r} is none of {', '.join(STRATEGIES)}")
        object.__setattr__(self, "fps", Fraction(str(self.fps)))
        if self.fps <= 0:
            raise ValueError(f"fps {self.fps} is not above zero")
        if not 0 < self.scene_threshold <= 255:
            raise ValueError(f"scene_threshold {self.scene_threshold} is not above 0 and at most 255")

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Sampling":
        """As the parameters of an extract key say it; those of other strategies are not in them."""
        return cls(params["strategy"], params.get("fps", Fraction(1)), params.get("scene_threshold", 27.0))

    @property
    def step_s(self) -> Fraction:
        """Seconds from one target to the next."""
        return 1 / self.fps


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment: the slice [start_ms, end_ms) in presentation time, and its share of `max_frames`."""

    start_ms: int
    end_ms: int
    max_frames: int | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets t_k = first_s + k · step_s with k in `numbers`, of which at most `most` are kept."""

    first_s: Fraction
    step_s: Fraction
    numbers: range
    most: int | None

    def owner(self, previous_s: Fraction | None, pts_s: Fraction) -> int | None:
        """The smallest target number, of any segment, within (previous_s, pts_s]; None when there is none.

        It is what makes a frame the first at or after a target, once, wherever segments are cut.
        `previous_s` is the time of the picture just before, None for the very first.
        """
        number = 0 if previous_s is None else max(0, floor((previous_s - self.first_s) / self.step_s) + 1)
        return number if self.first_s + number * self.step_s <= pts_s else None

    def keeps(self, number: int) -> bool:
        """Whether a target of this segment stays when max_frames thins them evenly."""
        if self.most is None or self.most >= len(self.numbers):
            return True
        position, count = number - self.numbers.start, len(self.numbers)
        turn = -(-position * self.most // count)  # the only i with i * count // most == position, if any
        return turn < self.most and turn * count // self.most == position

    @property
    def start_s(self) -> Fraction:
        """The time of the first target."""
        return self.first_s + self.numbers.start * self.step_s


def targets_of(cut: Cut, sampling: Sampling, first_pts_ms: int, first_s: Fraction) -> Targets:
    """The targets that a segment owns.

    Ownership is counted from `first_pts_ms`, as the cuts are; times are counted from `first_s`, the exact
    time of the first picture, which `first_pts_ms` rounds.
    """
    return Targets(first_s, sampling.step_s, _numbers(cut, sampling, first_pts_ms), cut.max_frames)


def cut_segments(
    first_pts_ms: int,
    duration_ms: int,
    sampling: Sampling,
    segment_ms: int = 600_000,
    max_frames: int | None = None,
) -> list[Cut]:
    """Cut a video into segments that cover it, and divide its `max_frames` among them.

    Shares are by largest remainder on the number of targets (`keyframe`, `scene`: on length, frames being unknown).
    """
    end_ms = first_pts_ms + max(duration_ms, 1)
    cuts = [Cut(start_ms, min(start_ms + segment_ms, end_ms)) for start_ms in range(first_pts_ms, end_ms, segment_ms)]
    if max_frames is None:
        return cuts
    if sampling.strategy != "interval":
        shares = _divide(max_frames, [cut.end_ms - cut.start_ms for cut in cuts])
    else:
        counts = [len(_numbers(cut, sampling, first_pts_ms)) for cut in cuts]
        shares = counts if sum(counts) <= max_frames else _divide(max_frames, counts)
    return [replace(cut, max_frames=share) for cut, share in zip(cuts, shares, strict=True)]


def thin(items: Sequence[T], most: int | None) -> list[T]:
    """At most `most` of the items, evenly spread, the first always among them."""
    count = len(items)
    if most is None or most >= count:
        return list(items)
    return [items[turn * count // most] for turn in range(most)]


def _numbers(cut: Cut, sampling: Sampling, first_pts_ms: int) -> range:
    step_ms = 1000 * sampling.step_s
    return range(ceil((cut.start_ms - first_pts_ms) / step_ms), ceil((cut.end_ms - first_pts_ms) / step_ms))


def _divide(total: int, weights: Sequence[int]) -> list[int]:
    """Divide by largest remainder (Hamilton's method); of equal remainders the earlier wins."""
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
