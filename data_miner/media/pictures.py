"""Pictures of any common format, as people keep them in folders: found, read upright, scaled down."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_miner.errors import NeverError
from data_miner.media.container import check_size

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def pictures_in(folder: Path) -> Iterator[Path]:
    """Every picture below a folder, by path; hidden files and folders are passed over."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


def read_picture(path: Path, max_side: int | None = None) -> NDArray[np.uint8]:
    """Read a picture as RGB (height, width, 3), turned as its Exif says, at most `max_side` px a side.

    Raises NeverError("unreadable") for what is no whole picture, or absurdly large.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:  # reads the header only
            check_size(*opened.size)
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NeverError("unreadable", f"{path}: not a whole picture") from error
    rgb: NDArray[np.uint8] = np.asarray(upright)
    height, width = rgb.shape[:2]
    scale = (max_side or max(height, width)) / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    scaled: NDArray[np.uint8] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return scaled
