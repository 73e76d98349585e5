"""Where the scenes of a video begin, by PySceneDetect's content score, whoever looks and from wherever.

A scene begins with the video, and where the picture changes by `threshold` or more from one frame to the next,
unless it comes back within MIN_SCENE_S (a flash) or a greater change is nearer than that. So it depends on the
frames within REACH_S and on nothing else, and pieces of a video agree. Decoding is in `reader.py`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from data_miner.media.container import check_size

# Part of the extract key where scenes are asked for: raise it with any change to what counts as a scene.
RECIPE = "content-256x144-1"

MIN_SCENE_S = Fraction(3, 5)  # PySceneDetect's own default, 0.6 s
REACH_S = 2 * MIN_SCENE_S
# Of a longer scene the middle of its first minute is taken: else whoever owns the beginning of a 10 h shot would
# have to decode all of it.
LONGEST_S = 60

_SIZE_PX = (256, 144)  # PySceneDetect scales to 256 px as well; one size for all, for a stream may change its own
# Without FULL_CHR the chroma is picked, not averaged: .2 ms a frame less, but of 172 rendered cuts 3 are missed, not 1.
_SCALING = int(Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT)
_RETURNS_MAX = 8  # changes after a change that are looked at for a return: noise changes with every frame


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene by the times of its first and last frame; of one that is longer than LONGEST_S any frame after that."""

    start_s: Fraction
    last_s: Fraction

    @property
    def middle_s(self) -> Fraction:
        """An instant of which the first frame at or after it is within the scene."""
        return self.start_s + min(self.last_s - self.start_s, Fraction(LONGEST_S)) / 2


class SmallPictures:
    """Scales decoded frames to what `scenes_of` looks at: BGR, uint8, 144 rows of 256 pixels."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def of(self, frame: Any) -> NDArray[np.uint8]:
        """The small picture of a PyAV frame. A mean over pixels asks for no proportions, so they are not kept."""
        check_size(frame.width, frame.height)
        scaled = self._reformatter.reformat(frame, *_SIZE_PX, "bgr24", interpolation=_SCALING, threads=1)
        return np.asarray(scaled.to_ndarray(), np.uint8)


def scenes_of(
    frames: Iterable[tuple[Fraction, NDArray[np.uint8]]], threshold: float, start_ms: int, end_ms: int
) -> Iterator[Scene]:
    """The scenes that begin in [start_ms, end_ms), by time, from (time, small picture) of the frames around it.

    The first frame must be the video's first, or lie before start_ms by more than REACH_S. `threshold` is
    ContentDetector's. Frames are taken up to REACH_S after end_ms, or LONGEST_S + REACH_S after the last start.
    """
    begun_s: Fraction | None = None
    last_s = Fraction(0)
    for pts_s, begins in _Judge(threshold).judged(frames):
        if begun_s is not None and (begins or pts_s - begun_s >= LONGEST_S):
            yield Scene(begun_s, last_s if begins else pts_s)
            begun_s = None
        pts_ms = round(pts_s * 1000)
        if pts_ms >= end_ms and begun_s is None:
            return
        if begins and start_ms <= pts_ms < end_ms:
            begun_s = pts_s
        last_s = pts_s
    if begun_s is not None:
        yield Scene(begun_s, last_s)


@dataclass(slots=True)
class _Seen:
    pts_s: Fraction
    bgr: NDArray[np.uint8]
    score: float  # difference from the frame before; of the very first frame infinite
    is_change: bool  # the score reaches the threshold, and no flash made it


class _Judge:
    """Says of every frame whether a scene begins there, as soon as the frames up to REACH_S after it are known."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._seen: list[_Seen] = []  # the frames that an open verdict may need
        self._checked = 0  # so many of these were looked at for a flash
        self._told = 0  # so many have their verdict

    def judged(self, frames: Iterable[tuple[Fraction, NDArray[np.uint8]]]) -> Iterator[tuple[Fraction, bool]]:
        """(time, whether a scene begins) of every frame; the first always does."""
        score_of = _scorer()
        for pts_s, bgr in frames:
            score = score_of(bgr)
            self._seen.append(_Seen(pts_s, bgr, score, score >= self._threshold))
            yield from self._verdicts(pts_s)
            self._forget()
        yield from self._verdicts(None)

    def _verdicts(self, now_s: Fraction | None) -> Iterator[tuple[Fraction, bool]]:
        """The verdicts that are ripe at a time; at the end of the video (None) all that are left."""
        while self._is_ripe(self._checked, MIN_SCENE_S, now_s):
            self._take_out_flash(self._checked)
            self._checked += 1
        while self._is_ripe(self._told, REACH_S, now_s):
            yield self._seen[self._told].pts_s, self._is_greatest_change(self._told)
            self._told += 1

    def _is_ripe(self, index: int, span_s: Fraction, now_s: Fraction | None) -> bool:
        return index < len(self._seen) and (now_s is None or self._seen[index].pts_s + span_s <= now_s)

    def _take_out_flash(self, index: int) -> None:
        """If the picture before a change comes back soon, no change from here to there counts."""
        score = self._seen[index].score
        if not self._threshold <= score < inf:
            return
        # the camera moves on meanwhile, so "the same again" is less than a cut, and less than half of this change
        same = min(self._threshold, score / 2)
        before = self._seen[index - 1].bgr
        after = range(index + 1, self._near(index).stop)
        changes = [i for i in after if self._seen[i].score >= self._threshold]
        for back in sorted({*changes[:_RETURNS_MAX], *after[-1:]}, reverse=True):
            if _difference(before, self._seen[back].bgr) < same:
                for seen in self._seen[index : back + 1]:
                    seen.is_change = False
                return

    def _is_greatest_change(self, index: int) -> bool:
        """Whether no greater change is nearer than MIN_SCENE_S; of equal ones the first counts."""
        if not self._seen[index].is_change:
            return False
        rivals = [i for i in self._near(index) if self._seen[i].is_change]
        return max(rivals, key=lambda i: self._seen[i].score) == index

    def _near(self, index: int) -> range:
        """The frames nearer than MIN_SCENE_S, itself among them."""
        centre_s, first, stop = self._seen[index].pts_s, index, index + 1
        while first > 0 and centre_s - self._seen[first - 1].pts_s < MIN_SCENE_S:
            first -= 1
        while stop < len(self._seen) and self._seen[stop].pts_s - centre_s < MIN_SCENE_S:
            stop += 1
        return range(first, stop)

    def _forget(self) -> None:
        """Drop the frames that no open verdict needs: older than its neighbours, and not the one before it."""
        oldest_s = self._seen[self._told].pts_s - MIN_SCENE_S
        count = 0
        while count < self._told - 1 and self._seen[count].pts_s <= oldest_s:
            count += 1
        del self._seen[:count]
        self._checked -= count
        self._told -= count


def _scorer() -> Callable[[NDArray[np.uint8]], float]:
    """How much each picture differs from the one given before: ContentDetector's content_val, 0 to 255.

    Without a minimal length the detector looks at no time; its score has no public name but through a
    StatsManager, which detects edges for nothing and more than doubles the cost (0.29 ms for 0.12).
    """
    from scenedetect.detectors import ContentDetector

    detector = ContentDetector(min_scene_len=0)
    is_first = True

    def score(bgr: NDArray[np.uint8]) -> float:
        nonlocal is_first
        detector.process_frame(None, bgr)
        found, is_first = inf if is_first else float(detector._frame_score), False
        return found

    return score


def _difference(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    score_of = _scorer()
    score_of(left)
    return score_of(right)
