"""Decoded frames of one video stream with exact times, in presentation order, from anywhere in the file.

Survives bad packets and never runs for ever. Which frames are wanted is not decided here.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av

# Bad packets in a row after which a stream counts as broken. One lost key frame costs a group of pictures:
# 10 s at 60 fps are 600 packets.
_BARREN_PACKETS_MAX = 20_000
_BARREN_AT_END_MAX = 100  # decoders hold back at most 16 pictures; more packets without one: damage up to the end
_READ_ERRORS_MAX = 100  # of 540 randomly damaged files reading on after an error found more frames in 23
_READ_ERRORS = (
    av.FFmpegError,
    IndexError,
)  # IndexError: PyAV 18 meets a stream that a damaged file adds midway


class Decoder:
    """Frames of an open container's stream. `broken` says that reading ended in an error, not at an end."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self.broken = False

    def frames(self) -> Iterator[tuple[Fraction, Any]]:
        """(time in seconds, PyAV frame) from the current position on, times ascending and never negative.

        Frames before zero are those an edit list hides. One that goes back in time is left out, and so is one
        of the same millisecond, which names a frame.
        """
        yield from _ascending((self._time_s(frame), frame) for frame in self._decoded())

    def frames_from_key(self) -> Iterator[tuple[Fraction, Any]]:
        """`frames` from the first key frame on: after a seek, those before it may lack their references.

        It is the decoder's word that counts: containers without a key frame table call every frame a key.
        """
        begun = False
        for pts_s, frame in self.frames():
            begun = begun or bool(frame.key_frame)
            if begun:
                yield pts_s, frame

    def seek(self, at_s: Fraction) -> bool:
        """Go to a key frame at or before a time, as the container sees it; False when it cannot."""
        try:
            self._container.seek(int(at_s // self._stream.time_base), stream=self._stream)
        except av.FFmpegError:
            return False
        self.broken = False
        return True

    def key_packets(self) -> Iterator[tuple[Fraction, Any]]:
        """(time in seconds, packet) of the key frames that are presented, without decoding anything."""
        keys = (packet for packet in self._packets() if packet.is_keyframe and not packet.is_discard)
        yield from _ascending((self._time_s(packet), packet) for packet in keys)

    def decode_alone(self, packet: Any) -> Any | None:
        """Decode one key packet by itself; None when it gives no picture or is no true key."""
        frames: list[Any] = []
        for piece in (packet, None):
            with suppress(av.FFmpegError):
                frames += self._stream.codec_context.decode(piece)
        self._stream.codec_context.flush_buffers()
        return frames[0] if frames and frames[0].key_frame else None

    def packet_times(self) -> Iterator[tuple[Fraction, Fraction]]:
        """(time, duration) in seconds of every packet from here on; a duration may be zero."""
        for packet in self._packets():
            pts_s = self._time_s(packet)
            if pts_s is not None:
                yield pts_s, (packet.duration or 0) * self._stream.time_base

    def _time_s(self, timed: Any) -> Fraction | None:
        # AVI and some transport streams time packets by decoding order alone
        ticks = timed.pts if timed.pts is not None else timed.dts
        return None if ticks is None else ticks * self._stream.time_base

    def _decoded(self) -> Iterator[Any]:
        codec = self._stream.codec_context
        barren = 0
        for packet in self._packets():
            try:
                frames = codec.decode(packet)
            except av.FFmpegError:
                frames = []
            yield from frames
            barren = 0 if frames else barren + 1
            if barren > _BARREN_PACKETS_MAX:
                self.broken = True
                return
        self.broken = self.broken or barren > _BARREN_AT_END_MAX
        with suppress(av.FFmpegError):
            yield from codec.decode(None)

    def _packets(self) -> Iterator[Any]:
        """Packets of the stream. An unreadable place is skipped; many in a row, or one at the end: broken."""
        errors = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:  # an empty one marks the end, or a frame that AVI repeats
                        errors = 0
                        yield packet
            except _READ_ERRORS:
                errors += 1
                if errors <= _READ_ERRORS_MAX:
                    continue
            self.broken = self.broken or errors > 0
            return


def _ascending(timed: Iterable[tuple[Fraction | None, Any]]) -> Iterator[tuple[Fraction, Any]]:
    """Items whose milliseconds ascend. Of a wrong late time that one is left out, not all that follow it."""
    last_ms, held = -1, None
    for pts_s, item in timed:
        if pts_s is None or pts_s < 0 or round(pts_s * 1000) <= last_ms:
            continue
        if held is not None and round(held[0] * 1000) == round(pts_s * 1000):
            continue
        if held is not None and held[0] < pts_s:
            last_ms = round(held[0] * 1000)
            yield held
        held = pts_s, item
    if held is not None:
        yield held
