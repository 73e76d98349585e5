"""What a media file holds, found by looking: size as shown, first time, length. Decodes one picture."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from data_miner.errors import NeverError
from data_miner.media.container import is_cut_off, opened_video
from data_miner.media.decoding import Decoder
from data_miner.media.geometry import shape_of
from data_miner.records import MediaInfo

_LONGEST_S = 7 * 24 * 3600  # a declared or measured length above is damage, and would be a thousand segments


def probe(path: Path) -> MediaInfo:
    """Look at a local video file.

    Raises NeverError("unreadable") when it is none: empty, a web page, sound only, not one decodable picture,
    a picture beyond 16,384 px a side or 100 Mpx; FileNotFoundError when it is gone.
    """
    with opened_video(path) as (container, stream):
        first = next(Decoder(container, stream).frames(), None)
        if first is None:
            raise NeverError("unreadable", f"not one {stream.codec_context.name} picture can be decoded")
        first_s, frame = first
        width, height = shape_of(frame, stream).shown
        rate = stream.average_rate
        codec = str(stream.codec_context.name)
        end_s = _end_s(path, container, stream, first_s)
    first_pts_ms = round(first_s * 1000)
    duration_ms = max(1, round(end_s * 1000) - first_pts_ms)
    return MediaInfo(first_pts_ms, duration_ms, width, height, codec, float(rate) if rate else None)


def _end_s(path: Path, container: Any, stream: Any, first_s: Fraction) -> Fraction:
    """When the last picture ends: read off the last packets; for a file that is cut off, what it declares."""
    declared_s = _declared_end_s(container, stream)
    if declared_s is not None and not first_s < declared_s <= _LONGEST_S:
        declared_s = None
    decoder = Decoder(container, stream)
    if declared_s is not None:
        if is_cut_off(path):
            return declared_s
        # headers count sound, round, or lie; the last group of pictures does not, and costs milliseconds
        if decoder.seek(declared_s):
            end_s = _last_end_s(decoder, stream)
            if end_s is not None and first_s < end_s <= _LONGEST_S:
                return end_s
    decoder.seek(Fraction(0))
    end_s = _last_end_s(decoder, stream) or declared_s or first_s
    if end_s > _LONGEST_S:
        raise NeverError("unreadable", f"its times run to {float(end_s):.0f} s")
    return end_s


def _declared_end_s(container: Any, stream: Any) -> Fraction | None:
    if stream.duration:
        return Fraction((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base)
    if container.duration:
        return Fraction((container.start_time or 0) + container.duration, 1_000_000)
    return None


def _last_end_s(decoder: Decoder, stream: Any) -> Fraction | None:
    """Greatest time plus duration of the packets from here on; a missing duration is that of a mean frame."""
    usual_s = 1 / stream.average_rate if stream.average_rate else Fraction(0)
    ends = (pts_s + (duration_s or usual_s) for pts_s, duration_s in decoder.packet_times())
    return max(ends, default=None)
