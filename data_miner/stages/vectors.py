"""Pictures of a job as vectors: embedded in batches, kept as one artifact per job, read back by frame."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_miner.ledger.jobs import Job
from data_miner.stages.base import Beat
from data_miner.store.artifacts import Store

Vectors = NDArray[np.float32]


def embed(model: Any, jpegs: Mapping[int, bytes], batch: int, beat: Beat) -> dict[int, Vectors]:
    """Embed JPEGs by key with an ImageTextScorer or Embedder; out of memory halves the batch and goes on."""
    from data_miner.media import jpeg
    from data_miner.models.batching import halving

    made: dict[int, Vectors] = {}
    for keys, vectors in halving(
        list(jpegs), batch, lambda keys: model.embed_images([jpeg.decode(jpegs[k]) for k in keys])
    ):
        made.update(zip(keys, vectors, strict=True))
        beat(len(made))
    return made


def put(store: Store, job: Job, vectors: Vectors) -> str:
    """Keep (n, d) vectors as the job's artifact; returns its key."""
    key, data = f"embeddings/{job.artifact}.npy", io.BytesIO()
    np.save(data, vectors.astype(np.float32))
    store.put_bytes(key, data.getvalue())
    return key


def read(store: Store, path: str) -> Vectors:
    """Vectors of an artifact."""
    vectors: Vectors = np.load(io.BytesIO(store.read(path)))
    return vectors


def read_parts(store: Store, parts: Iterable[Any]) -> dict[tuple[int, int], Vectors]:
    """Vectors by (segment_id, pts_ms) of rows (segment_id, pts_ms, path); of two for one frame the first counts."""
    found: dict[tuple[int, int], Vectors] = {}
    for part in parts:
        for pts_ms, vector in zip(part.pts_ms, read(store, part.path), strict=True):
            found.setdefault((part.segment_id, pts_ms), vector)
    return found
