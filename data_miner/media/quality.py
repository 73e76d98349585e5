"""How sharp, bright and contrasty a picture is, measured on one small luma plane. No thresholds here."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_miner.media.phash import phash

WIDTH_PX = 640
_HEIGHT_MAX_PX = 2560

# Part of the extract key: another recipe gives other numbers, so raise it with any change to luma_plane,
# measure or phash.
RECIPE = "luma640-area-1"


@dataclass(frozen=True, slots=True)
class Quality:
    """Numbers of the measuring plane, in grey levels 0 to 255 (sharpness: squared)."""

    sharpness: float  # variance of the Laplacian (Pech-Pacheco et al., 2000)
    brightness: float  # mean
    contrast: float  # standard deviation


def luma_plane(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The measuring plane: BT.601 luma, uint8, 640 px wide, height in proportion (at most 2,560 px).

    Averages when it makes a picture smaller, interpolates when larger, so that numbers of pictures of all
    sizes compare.
    """
    height, width = rgb.shape[:2]
    plane_height = min(_HEIGHT_MAX_PX, max(1, round(height * WIDTH_PX / width)))
    luma = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    scaling = cv2.INTER_AREA if width > WIDTH_PX else cv2.INTER_LINEAR
    plane: NDArray[np.uint8] = cv2.resize(luma, (WIDTH_PX, plane_height), interpolation=scaling)
    return plane


def measure(rgb: NDArray[np.uint8]) -> Quality:
    """Measure one RGB picture, uint8 of shape (height, width, 3)."""
    return _measure_plane(luma_plane(rgb))


def measure_picture(rgb: NDArray[np.uint8]) -> tuple[Quality, int]:
    """Quality and perceptual hash of one RGB picture, from the same plane."""
    plane = luma_plane(rgb)
    return _measure_plane(plane), phash(plane)


def _measure_plane(plane: NDArray[np.uint8]) -> Quality:
    mean, deviation = cv2.meanStdDev(plane)
    _, edges = cv2.meanStdDev(cv2.Laplacian(plane, cv2.CV_64F))
    return Quality(float(edges[0, 0]) ** 2, float(mean[0, 0]), float(deviation[0, 0]))
