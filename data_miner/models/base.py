"""What a model can do for a stage: find boxes, or score pictures against words. No loading, no files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data_miner.errors import SmallerError
from data_miner.records import Box

Rgb = NDArray[np.uint8]  # height x width x 3
Vectors = NDArray[np.float32]


class Detector(Protocol):
    """Finds the project's classes in pictures."""

    @property
    def digest(self) -> str:
        """Names the weights: "sha256:…" or "repo@revision"."""
        ...

    def detect(self, rgb: Sequence[Rgb]) -> list[list[Box]]:
        """Boxes of each picture, best first, in its pixels, from the floor score up.

        All pictures must have one size: mixed sizes change the letterboxing and move boxes. Raises ValueError
        when they differ, SmallerError (out_of_memory, model) when the device gives up.
        """
        ...

    def close(self) -> None:
        """Give memory back; the detector is unusable afterwards."""
        ...


class Embedder(Protocol):
    """Turns pictures into vectors whose cosine says how alike they are."""

    @property
    def digest(self) -> str:
        """Names the weights: "sha256:…" or "repo@revision"."""
        ...

    def embed_images(self, rgb: Sequence[Rgb]) -> Vectors:
        """(N, D) vectors of length 1. Raises SmallerError (out_of_memory, model)."""
        ...

    def close(self) -> None:
        """Give memory back; the embedder is unusable afterwards."""
        ...


class ImageTextScorer(Protocol):
    """Says how well words describe a picture."""

    @property
    def digest(self) -> str:
        """Names the weights: "sha256:…" or "repo@revision"."""
        ...

    def embed_images(self, rgb: Sequence[Rgb]) -> Vectors:
        """(N, D) vectors of length 1. Raises SmallerError (out_of_memory, model)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(M, D) vectors of length 1."""
        ...

    def scores(self, images: Vectors, texts: Vectors) -> Vectors:
        """(N, M) scores from 0 to 1, from vectors alone: numpy, no model needed."""
        ...

    def close(self) -> None:
        """Give memory back; the scorer is unusable afterwards."""
        ...


@contextmanager
def inference(name: str) -> Iterator[None]:
    """Turn what a device throws into a job's failure that is tried again with half the batch.

    torch.OutOfMemoryError is told by its name, so that nothing here imports torch.
    """
    try:
        yield
    except RuntimeError as error:
        memory = type(error).__name__ == "OutOfMemoryError" or any(
            words in str(error).lower() for words in ("out of memory", "allocate memory")
        )
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise SmallerError("out_of_memory" if memory else "model", f"{name}: {first_line}") from error
    except MemoryError as error:
        raise SmallerError("out_of_memory", name) from error
