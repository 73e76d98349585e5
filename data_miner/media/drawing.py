"""Boxes drawn on a picture for a person to look at. Which boxes stand is not decided here."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Okabe and Ito's colours, told apart by most eyes (https://jfly.uni-koeln.de/color/), as RGB.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (240, 228, 66))
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK_FROM = 128  # luma: black text on what is lighter


@dataclass(frozen=True, slots=True)
class Mark:
    """One box to draw: what it shows, where, in px."""

    text: str  # written at its corner
    xyxy: tuple[float, float, float, float]
    kind: int = 0  # boxes of one kind have one colour
    is_doubled: bool = False  # a second, white line: drawn by a person


def draw_boxes(rgb: NDArray[np.uint8], marks: Sequence[Mark]) -> NDArray[np.uint8]:
    """A copy of an RGB picture, uint8 of shape (height, width, 3), with boxes and their texts; the first lie on top."""
    drawn = np.ascontiguousarray(rgb).copy()
    height, width = drawn.shape[:2]
    line_px = max(1, round(min(height, width) / 240))
    for mark in reversed(marks):
        _draw(drawn, mark, line_px)
    return drawn


def _draw(rgb: NDArray[np.uint8], mark: Mark, line_px: int) -> None:
    height, width = rgb.shape[:2]
    colour = _COLOURS[mark.kind % len(_COLOURS)]
    left, top, right, bottom = (
        min(max(round(value), 0), most - 1)
        for value, most in zip(mark.xyxy, (width, height, width, height), strict=True)
    )
    cv2.rectangle(rgb, (left, top), (right, bottom), colour, line_px)
    if mark.is_doubled:
        cv2.rectangle(
            rgb, (left + line_px, top + line_px), (right - line_px, bottom - line_px), (255, 255, 255), line_px
        )
    _write(rgb, _ascii(mark.text), (left, top), colour, line_px)


def _write(rgb: NDArray[np.uint8], text: str, at: tuple[int, int], colour: tuple[int, int, int], line_px: int) -> None:
    """Text on a plate above a corner, or inside it at the edge of the picture."""
    height, width = rgb.shape[:2]
    scale, weight = max(0.35, min(height, width) / 900), max(1, line_px // 2)
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, weight)
    plate = text_height + below + 2
    left = max(0, min(at[0], width - text_width - 2))
    top = at[1] - plate if at[1] >= plate else at[1]
    cv2.rectangle(rgb, (left, top), (left + text_width + 2, top + plate), colour, cv2.FILLED)
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = (0, 0, 0) if luma >= _DARK_FROM else (255, 255, 255)
    cv2.putText(rgb, text, (left + 1, top + text_height + 1), _FONT, scale, ink, weight, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """OpenCV's letters are ASCII: accents are dropped, other alphabets become question marks."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode()
