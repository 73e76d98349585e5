"""The perceptual hash everyone means, imagehash's, as one unsigned 64-bit number."""

import numpy as np
from numpy.typing import NDArray


def phash(plane: NDArray[np.uint8]) -> int:
    """Hash a picture: the bits of `imagehash.phash(PIL.Image.fromarray(plane))`, first bit highest.

    `plane` is what quality.luma_plane gives: hashes compare only between pictures scaled in one way. It is
    imagehash itself that runs: flat planes leave coefficients of rounding noise around zero, whose signs
    only the same arithmetic repeats.
    """
    import imagehash  # pulls in scipy: 0.3 s
    from PIL import Image

    bits = imagehash.phash(Image.fromarray(plane)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
