"""Single pictures from files of any common format, upright. Videos are `reader`'s, our own JPEGs `jpeg`'s."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from data_miner.errors import NeverError
from data_miner.media.container import MAX_PICTURE_PX, check_size


def read_still(path: Path) -> NDArray[np.uint8]:
    """Read one picture as RGB, uint8 of shape (height, width, 3), turned as its EXIF says; of several the first.

    The size is read off the header before anything is decoded. Raises NeverError("unreadable") for what is no
    picture, is cut off or absurdly large, and OSError for a file that cannot be read.
    """
    data = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # check_size has its own bounds
            with Image.open(io.BytesIO(data)) as header:
                check_size(*header.size)
                header.draft("RGB", header.size)
                return _with_opencv(data) if header.mode.startswith("I;16") else _upright(header)
    except Image.DecompressionBombError as error:  # looks before check_size can
        raise NeverError("unreadable", f"a picture beyond {MAX_PICTURE_PX // 1_000_000} Mpx") from error
    except (UnidentifiedImageError, ImportError) as error:
        # ImportError: Ultralytics puts an Image.open of its own in place, which asks for pi_heif at last.
        raise NeverError("unreadable", "not a picture of a known format") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow says of damage
        raise NeverError("unreadable", f"a damaged picture ({' '.join(str(error).split())[:80]})") from error


def scaled(rgb: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """The picture with at most `max_side` px a side; never larger than it was."""
    height, width = rgb.shape[:2]
    scale = max_side / max(height, width) if max_side else 1.0
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: NDArray[np.uint8] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return small


def _upright(picture: Image.Image) -> NDArray[np.uint8]:
    turned = ImageOps.exif_transpose(picture)
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        layer = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(turned.convert("RGB"), np.uint8)  # a copy: torch takes no read-only memory


def _with_opencv(data: bytes) -> NDArray[np.uint8]:
    """16-bit grey: Pillow would cut it off at 255, OpenCV scales it."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise NeverError("unreadable", "a damaged picture")
    rgb: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return rgb
