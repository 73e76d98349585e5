"""How a coded picture is turned, stretched and scaled to what a person sees."""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from data_miner.media.container import check_size


@dataclass(frozen=True, slots=True)
class Orientation:
    """Quarter turns counter-clockwise after an optional mirroring left to right."""

    quarter_turns: int = 0
    mirrored: bool = False

    def apply(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a decoded picture upright; the result is contiguous."""
        turned = np.rot90(rgb[:, ::-1] if self.mirrored else rgb, self.quarter_turns)
        return np.ascontiguousarray(turned)


@dataclass(frozen=True, slots=True)
class Shape:
    """Size to scale a coded picture to, before it is turned, in px; and the size that is shown then."""

    coded: tuple[int, int]
    orientation: Orientation

    @property
    def shown(self) -> tuple[int, int]:
        """(width, height) in px as a person sees it."""
        return self.coded[::-1] if self.orientation.quarter_turns % 2 else self.coded


def shape_of(frame: Any, stream: Any, max_side: int | None = None) -> Shape:
    """The shape of a decoded frame: square pixels, upright, scaled down (never up) to `max_side` px.

    A sample aspect of x widens the picture by x and leaves its height, as ffmpeg's `scale=iw*sar:ih`.
    """
    check_size(frame.width, frame.height)
    aspect = stream.sample_aspect_ratio
    width = float(frame.width)
    if aspect and 0.1 <= aspect <= 10:  # beyond: damage
        width *= float(aspect)
    height = float(frame.height)
    check_size(round(width), frame.height)
    scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
    return Shape((max(1, round(width * scale)), max(1, round(height * scale))), orientation_of(frame))


def orientation_of(frame: Any) -> Orientation:
    """Read the display matrix (ISO/IEC 14496-12, 6.2.2): x' = ax + cy, y' = bx + dy with y downwards."""
    data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if data is None or data.buffer_size < 36:
        return Orientation()
    matrix = np.frombuffer(bytes(data), np.int32)
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    mirrored = a * d - b * c < 0
    if mirrored:  # the matrix is then "mirror first, turn after": take the mirror out, the turn is left
        a, b = -a, -b
    if abs(a) >= abs(b):
        return Orientation(0 if a >= 0 else 2, mirrored)
    return Orientation(3 if b > 0 else 1, mirrored)  # b > 0: right goes down, a clockwise turn
