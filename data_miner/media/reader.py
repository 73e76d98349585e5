"""The pictures of one segment: sampled exactly, upright, with square pixels, scaled.

The same pictures come out however a video is cut into segments; see `sampling.py` and `scenes.py` for the rules.
One pass over the segment; `scene` takes two, for the middle of a scene is known when it has ended.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from data_miner.errors import NeverError
from data_miner.media.container import is_cut_off, opened_video
from data_miner.media.decoding import Decoder
from data_miner.media.geometry import shape_of
from data_miner.media.sampling import Cut, Sampling, targets_of, thin
from data_miner.media.scenes import REACH_S, SmallPictures, scenes_of

VERSION = 1  # raise when the same file would give other pixels or other frames; part of the extract key

_BACK_OFF_S = (0, 1, 4, 16, 64)  # where to look for a key frame before a target; after these, the beginning
_JUMP_S = 10  # a picture further ahead is sought rather than decoded up to
_BEAT_FRAMES = 100
_SCALING = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT)


@dataclass(frozen=True, slots=True)
class Picture:
    """One sampled picture: its true presentation time in ms, and uint8 RGB of shape (height, width, 3)."""

    pts_ms: int
    rgb: NDArray[np.uint8]


class SegmentReader:
    """Iterate over the pictures of a segment by time; after that `truncated` and `dropped_max_frames` hold.

    Raises NeverError("unreadable") when not one picture of the whole file can be decoded.
    """

    def __init__(
        self,
        path: Path,
        sampling: Sampling,
        cut: Cut,
        first_pts_ms: int,
        max_side: int | None = None,
        threads: int = 1,
        beat: Callable[[int], None] = lambda frames: None,
    ) -> None:
        """`beat` is called now and then with the number of frames decoded: signs of life between pictures."""
        self._path, self._sampling, self._cut = path, sampling, cut
        self._first_pts_ms, self._max_side, self._threads = first_pts_ms, max_side, threads
        self._beat = beat
        self._reformatter = VideoReformatter()
        self.truncated = False  # the file broke off before the segment was complete
        self.dropped_max_frames = 0  # frames left out because max_frames was reached

    def __iter__(self) -> Iterator[Picture]:
        self.truncated, self.dropped_max_frames = False, 0
        if self._sampling.strategy == "keyframe":
            return self._key_frames()
        if self._sampling.strategy == "scene":
            return self._scene_middles()
        return self._at_intervals()

    def _at_intervals(self) -> Iterator[Picture]:
        first_s = self._first_s()
        targets = targets_of(self._cut, self._sampling, self._first_pts_ms, first_s)
        if not targets.numbers:
            return
        last = targets.numbers[-1]
        previous_s: Fraction | None = None
        for pts_s, frame, stream in self._frames_from_before(targets.start_s, targets.numbers.start == 0):
            number = targets.owner(previous_s, pts_s)
            previous_s = pts_s
            if number is not None and number in targets.numbers:
                if targets.keeps(number):
                    yield self._picture(pts_s, frame, stream)
                else:
                    self.dropped_max_frames += 1
            if targets.first_s + last * targets.step_s <= pts_s:
                return

    def _scene_middles(self) -> Iterator[Picture]:
        """The first frame at or after the middle of each scene that begins in the segment."""
        first_s = self._first_s()
        frames = self._small_frames(Fraction(self._cut.start_ms, 1000) - REACH_S, first_s)
        scenes = list(scenes_of(frames, self._sampling.scene_threshold, self._cut.start_ms, self._cut.end_ms))
        chosen = thin(scenes, self._cut.max_frames)
        self.dropped_max_frames = len(scenes) - len(chosen)
        yield from self._first_at_or_after([scene.middle_s for scene in chosen], first_s)

    def _small_frames(self, before_s: Fraction, first_s: Fraction) -> Iterator[tuple[Fraction, NDArray[np.uint8]]]:
        small = SmallPictures()
        for pts_s, frame, _ in self._frames_from_before(before_s, before_s <= first_s):
            yield pts_s, small.of(frame)

    def _first_at_or_after(self, instants: list[Fraction], first_s: Fraction) -> Iterator[Picture]:
        """The pictures at ascending instants, between which lies a frame at least."""
        frames = self._frames_from_before(first_s, True)
        now_s = first_s
        for at_s in instants:
            if at_s - now_s > _JUMP_S:
                frames.close()
                frames = self._frames_from_before(at_s, False)
            found = next((seen for seen in frames if seen[0] >= at_s), None)
            now_s = found[0] if found else first_s
            if found:  # if not: damage, which this way to the picture does not get over
                yield self._picture(*found)

    def _frames_from_before(
        self, before_s: Fraction, at_start: bool
    ) -> Generator[tuple[Fraction, Any, Any], None, None]:
        """(time, frame, stream) from a frame strictly before a time on, or from the very first."""
        for decoder, stream, is_start in self._decoders(before_s, at_start):
            frames = decoder.frames() if is_start else decoder.frames_from_key()
            first = next(frames, None)
            if first is not None and (is_start or first[0] < before_s):
                for count, (pts_s, frame) in enumerate(chain([first], frames), 1):
                    if count % _BEAT_FRAMES == 0:
                        self._beat(count)
                    yield pts_s, frame, stream
                self._note_end(decoder)
                return

    def _decoders(self, before_s: Fraction, at_start: bool) -> Iterator[tuple[Decoder, Any, bool]]:
        """Decoders placed ever earlier before a time, the last one at the beginning of the file (then True).

        Containers seek by decoding time, by a sparse index or not at all: the caller looks at what comes
        first and takes the next decoder when that is not early enough.
        """
        for back_s in () if at_start else _BACK_OFF_S:
            with opened_video(self._path, self._threads) as (container, stream):
                decoder = Decoder(container, stream)
                # one tick before: a key frame on the time itself would hide the frame before it
                if not decoder.seek(before_s - back_s - stream.time_base):
                    break
                yield decoder, stream, False
        with opened_video(self._path, self._threads) as (container, stream):
            yield Decoder(container, stream), stream, True

    def _key_frames(self) -> Iterator[Picture]:
        self._first_s()
        wanted = [pts_s for pts_s, *_ in self._owned_keys()]
        chosen = set(thin(wanted, self._cut.max_frames))
        self.dropped_max_frames = len(wanted) - len(chosen)
        if not chosen:
            return
        for pts_s, packet, decoder, stream in self._owned_keys():
            frame = decoder.decode_alone(packet) if pts_s in chosen else None
            if frame is not None:
                yield self._picture(pts_s, frame, stream)

    def _owned_keys(self) -> Iterator[tuple[Fraction, Any, Decoder, Any]]:
        """The key packets of the segment, from the last decoder of `_decoders` that need be tried."""
        start_s = Fraction(self._cut.start_ms, 1000)
        for decoder, stream, is_start in self._decoders(start_s, self._cut.start_ms <= self._first_pts_ms):
            packets = decoder.key_packets()
            first = next(packets, None)
            if is_start or (first is not None and first[0] < start_s):
                for pts_s, packet in chain([first] if first else [], packets):
                    pts_ms = round(pts_s * 1000)
                    if pts_ms >= self._cut.end_ms:
                        return
                    if pts_ms >= self._cut.start_ms:
                        yield pts_s, packet, decoder, stream
                self._note_end(decoder)
                return

    def _first_s(self) -> Fraction:
        with opened_video(self._path) as (container, stream):
            first = next(Decoder(container, stream).frames(), None)
            if first is None:
                raise NeverError("unreadable", f"not one {stream.codec_context.name} picture can be decoded")
            return first[0]

    def _note_end(self, decoder: Decoder) -> None:
        """The stream ended before the segment did: at its natural end, or because the file is damaged."""
        self.truncated = self.truncated or decoder.broken or is_cut_off(self._path)

    def _picture(self, pts_s: Fraction, frame: Any, stream: Any) -> Picture:
        shape = shape_of(frame, stream, self._max_side)
        width, height = shape.coded
        scaled = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=_SCALING, threads=1)
        rgb = np.asarray(scaled.to_ndarray(), np.uint8)
        return Picture(round(pts_s * 1000), shape.orientation.apply(rgb))
