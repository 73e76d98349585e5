"""Opening a media file that came from anywhere: local bytes only, known formats only, bounded pictures.

Also says whether a file ends before its own structure does. Decoding is in `decoding.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import av

from data_miner.errors import NeverError

MAX_SIDE_PX = 16_384
MAX_PICTURE_PX = 100_000_000

# Formats that hold their own bytes. Playlists (hls, concat, dash), picture sequences and text formats, which
# make ffmpeg read other files, are not among them; `file` as the only protocol keeps it off the network.
_FORMATS = "mov,matroska,avi,flv,mpegts,mpeg,asf,ogg,gif,mxf,nut"
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": _FORMATS,
    "max_pixels": str(MAX_PICTURE_PX),  # checked by the decoder before it allocates a picture
}


@contextmanager
def opened_video(path: Path, threads: int = 1) -> Iterator[tuple[Any, Any]]:
    """Open a local file as (PyAV container, its video stream), ready to decode.

    Raises NeverError("unreadable") for what is no video file, FileNotFoundError when it is gone.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is gone")
    if not path.is_file() or path.stat().st_size == 0:
        raise NeverError("unreadable", "the file is empty" if path.is_file() else "not a regular file")
    path.open("rb").close()  # a missing permission is told apart here: ffmpeg says EPERM of damaged files too
    try:
        # "file:" keeps ffmpeg from reading a protocol out of a name such as "concat:a|b.mp4"
        container = av.open(f"file:{path.absolute()}", options=_OPTIONS, metadata_errors="replace")
    except av.FFmpegError as error:
        raise NeverError("unreadable", f"not a video file of a known format ({error.strerror})") from error
    with container:
        stream = _video_stream(container)
        stream.codec_context.options = {"max_pixels": str(MAX_PICTURE_PX)}
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO" if threads > 1 else "NONE"
        yield container, stream


def check_size(width: int, height: int) -> None:
    """Refuse picture sizes that only damage or malice explains; NeverError("unreadable")."""
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX and width * height <= MAX_PICTURE_PX):
        limit = f"{MAX_SIDE_PX} px a side and {MAX_PICTURE_PX // 1_000_000} Mpx"
        raise NeverError("unreadable", f"a picture of {width}×{height} px is beyond {limit}")


def _video_stream(container: Any) -> Any:
    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    videos = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not videos:
        raise NeverError("unreadable", "no video stream, sound only")
    stream = videos[0]
    if stream.codec_context is None:
        raise NeverError("unreadable", "its video codec is not known here")
    if stream.codec_context.width or stream.codec_context.height:
        check_size(stream.codec_context.width, stream.codec_context.height)
    return stream


def is_cut_off(path: Path) -> bool:
    """Whether an MP4, Matroska or AVI file ends before the end its own structure declares.

    Demuxers report a clean end for such files as often as an error. Other formats declare no end: False.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
            return not _boxes_are_whole(file, size_bytes)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _segment_end(file) > size_bytes
        if head[:4] == b"RIFF":
            return int.from_bytes(head[4:8], "little") + 8 > size_bytes
    return False


def _boxes_are_whole(file: BinaryIO, size_bytes: int) -> bool:
    """Whether an ISO base media file (ISO/IEC 14496-12) holds media and its last box ends within it."""
    end, has_media = 0, False
    while end + 8 <= size_bytes:
        file.seek(end)
        head = file.read(16)
        box_bytes = int.from_bytes(head[:4], "big")
        if box_bytes == 1:
            box_bytes = int.from_bytes(head[8:16], "big")
        elif box_bytes == 0 and head[4:8] == b"mdat":  # "to the end of the file"
            return True
        if box_bytes < 8 or not head[4:8].isascii():  # padding or junk after the last box
            break
        end += box_bytes
        has_media = has_media or head[4:8] == b"mdat"
    return has_media and end <= size_bytes


def _segment_end(file: BinaryIO) -> int:
    """Where the Segment of a Matroska file (RFC 8794, RFC 9559) ends; 0 when it does not say."""
    file.seek(4)
    header_bytes, _ = _vint(file)
    file.seek(header_bytes, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    segment_bytes, unknown = _vint(file)
    return 0 if unknown else file.tell() + segment_bytes


def _vint(file: BinaryIO) -> tuple[int, bool]:
    """One EBML variable-length size, and whether it means "unknown"."""
    first = file.read(1)
    if not first or first[0] == 0:
        return 0, True
    length = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0xFF >> length)]) + file.read(length - 1), "big")
    return value, value == (1 << 7 * length) - 1
