"""Small videos whose every frame carries its index as black and white blocks: truth by construction."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 4, 6
BITS = ROWS * COLUMNS // 2

MS = Fraction(1, 1000)


def pattern(index: int, width: int = 192, height: int = 128) -> NDArray[np.uint8]:
    """A picture that says `index` in 12 blocks and its complement in 12 more, row by row, high bits first."""
    bits = [index >> (BITS - 1 - i) & 1 for i in range(BITS)]
    blocks = np.array(bits + [1 - bit for bit in bits], np.uint8).reshape(ROWS, COLUMNS)
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    grey = np.where(blocks[rows][:, columns], 235, 20).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_index(rgb: NDArray[np.uint8]) -> int:
    """The index a picture carries; fails when it is no upright, whole pattern."""
    height, width = rgb.shape[:2]
    rows = (2 * np.arange(ROWS) + 1) * height // (2 * ROWS)
    columns = (2 * np.arange(COLUMNS) + 1) * width // (2 * COLUMNS)
    blocks = rgb[rows][:, columns].mean(axis=2)
    assert ((blocks < 60) | (blocks > 195)).all(), f"not a pattern: {blocks}"
    bits = (blocks.ravel() > 128).astype(int)
    assert (bits[:BITS] == 1 - bits[BITS:]).all(), "the blocks contradict each other"
    return int("".join(map(str, bits[:BITS])), 2)


def wanted(pts_ms: list[int], fps: Fraction) -> list[tuple[int, int]]:
    """(time, index) of the first frame at or after each target, each once."""
    step, target, found = 1000 / fps, Fraction(pts_ms[0]), {}
    while target <= pts_ms[-1]:
        index = next(i for i, ms in enumerate(pts_ms) if ms >= target)
        found[pts_ms[index]] = index
        target += step
    return sorted(found.items())


def write_video(
    path: Path,
    pts: Iterable[int],
    *,
    time_base: Fraction = MS,
    size: tuple[int, int] = (192, 128),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    matrix: tuple[int, int, int, int] | None = None,
    sample_aspect: Fraction | None = None,
    codec_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    container: str | None = None,
    metadata: dict[str, str] | None = None,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
) -> Path:
    """Write one frame per pts (in `time_base`), frame i showing pattern(i) or pictures[i].

    `matrix` (a, b, c, d) goes into the display matrix (ISO/IEC 14496-12, 6.2.2): players show the stored
    point (x, y) at (ax + cy, bx + dy), y downwards. The stored pictures stay as they are.
    """
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        output.metadata.update(metadata or {})
        stream = output.add_stream(codec, rate=30)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = gop
        stream.codec_context.options = codec_options or {}
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if matrix is not None:
            a, b, c, d = (value << 16 for value in matrix)
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        for index, ticks in enumerate(pts):
            rgb = pattern(index, *size) if pictures is None else pictures[index]
            _encode(output, stream, rgb, ticks, time_base)
        output.mux(stream.encode(None))
    return path


def _encode(output: Any, stream: Any, rgb: NDArray[np.uint8], ticks: int, time_base: Fraction) -> None:
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    frame.pts, frame.time_base = ticks, time_base
    output.mux(stream.encode(frame))


def write_sound(path: Path, seconds: int = 1) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16_000)
        for start in range(0, 16_000 * seconds, 1024):
            samples = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def cut_off(path: Path, share: float) -> Path:
    """Keep only the first share of a file's bytes, as a broken download does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def with_noise(path: Path, at_share: float, size_bytes: int) -> Path:
    """Overwrite some bytes in the middle of a file with noise."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at_share)
    data[start : start + size_bytes] = np.random.default_rng(3).bytes(size_bytes)
    path.write_bytes(bytes(data))
    return path
