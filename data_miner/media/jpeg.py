"""Pictures to JPEG bytes and back. Sizes are read off the header before anything is decoded."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_miner.errors import NeverError
from data_miner.media.container import check_size

_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
    (1, cv2.IMREAD_COLOR),
)


def encode(rgb: NDArray[np.uint8], quality: int) -> bytes:
    """Encode an RGB picture, uint8 of shape (height, width, 3); quality 1 to 100."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise NeverError("unreadable", f"a picture of shape {rgb.shape} cannot be a JPEG")
    return bytes(data.tobytes())


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG to RGB. Raises NeverError("unreadable") for what is none, cut off, or absurdly large."""
    size_of(data)
    return _decode(data, cv2.IMREAD_COLOR)


def decode_scaled(data: bytes, max_side: int) -> NDArray[np.uint8]:
    """Decode a JPEG to RGB of at most `max_side` px a side; mostly scaled by the decoder (13 → 3 ms)."""
    longest = max(size_of(data))
    flag = next(flag for factor, flag in _REDUCED if factor == 1 or longest >= factor * max_side)
    rgb = _decode(data, flag)
    height, width = rgb.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled: NDArray[np.uint8] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return scaled


def size_of(data: bytes) -> tuple[int, int]:
    """(width, height) in px from a JPEG's frame header (ITU-T T.81, B.2.2); else NeverError("unreadable")."""
    size: tuple[int, int] | None = None
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        if marker == 0xDA:  # the scan begins; a whole file has its end marker after it
            at = len(data) if data.find(b"\xff\xd9", at) < 0 else at
            break
        at += 2 + length
    if size is None or at >= len(data):
        raise NeverError("unreadable", "not a whole JPEG picture")
    check_size(*size)
    return size


def _decode(data: bytes, flag: Any) -> NDArray[np.uint8]:
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise NeverError("unreadable", "not a JPEG picture") from error
    if bgr is None:
        raise NeverError("unreadable", "not a JPEG picture")
    rgb: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return rgb
