"""Admission to a project's kept frames: what is compared, at which version, and dedup's verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_miner.errors import NotNowError
from data_miner.ledger import order
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql


class StaleIndexError(NotNowError):
    """Another admission came between: the index in memory is not the ledger's any more."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames by place, with their hashes. Row i of all three belongs together."""

    segment_ids: NDArray[np.int64]  # (n,); 0: no present segment has it
    pts_ms: NDArray[np.int64]  # (n,)
    phash: NDArray[np.uint64]  # (n,)

    @property
    def places(self) -> list[tuple[int, int]]:
        """(segment_id, pts_ms) of each."""
        return list(zip(self.segment_ids.tolist(), self.pts_ms.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Standing:
    """What an admitter compares with, and the version it was read at."""

    version: int
    known: NDArray[np.uint64]  # hashes of the pictures never to mine again
    rejected: Frames
    human: Frames  # with labels of a person, decided or not, in data order
    kept: Frames  # the rest, in data order


@dataclass(frozen=True, slots=True)
class Verdict:
    """Dedup's word on one passed frame. Without a reason it is kept."""

    pts_ms: int
    reason: str | None = None  # duplicate | similar | known | rejected
    segment_id: int | None = None  # of the frame that it looks like
    representative_pts_ms: int | None = None


def standing(cursor: Cursor, project_id: int, known_digest: str | None = None) -> Standing:
    """Read what a project's frames are compared with."""
    named = {"project_id": project_id, "digest": known_digest}
    found = cursor.execute(sql("admission", "version"), named).fetchone()
    version = int(found.dedup_version) if found is not None else 0  # first: what is newer shows itself as stale
    return Standing(
        version=version,
        known=_hashes(cursor.execute(sql("admission", "known_hashes"), named).fetchall()),
        rejected=frames_of(cursor.execute(sql("admission", "rejected_hashes"), named).fetchall()),
        human=frames_of(cursor.execute(sql("admission", "human_hashes"), named).fetchall()),
        kept=frames_of(cursor.execute(sql("admission", "kept_hashes"), named).fetchall()),
    )


def passed_frames(cursor: Cursor, project_id: int, segment_id: int) -> Frames:
    """A segment's passed frames, in order of time."""
    named = {"project_id": project_id, "segment_id": segment_id}
    return frames_of(cursor.execute(sql("admission", "passed_hashes"), named).fetchall())


def embeddings(cursor: Cursor, segment_ids: Sequence[int], model: str) -> list[Any]:
    """Parts of segments' embeddings under a model: (segment_id, pts_ms, path), the oldest first."""
    named = {"segment_ids": sorted(set(segment_ids)), "model": model}
    return cursor.execute(sql("admission", "embeddings"), named).fetchall()


def known_embedding(cursor: Cursor, digest: str, model: str) -> str | None:
    """Artifact of a known set's vectors under a model; None: not made yet."""
    row = cursor.execute(sql("admission", "known_embedding"), {"digest": digest, "model": model}).fetchone()
    return str(row.path) if row is not None else None


def is_version(cursor: Cursor, project_id: int, version: int) -> bool:
    """Is an index that was read at this version still the ledger's?"""
    found = cursor.execute(sql("admission", "version"), {"project_id": project_id}).fetchone()
    return found is not None and bool(found.dedup_version == version)


def admit(cursor: Cursor, project_id: int, segment_id: int, version: int, verdicts: Sequence[Verdict]) -> int:
    """Write dedup's verdicts on a segment's passed frames.

    Compares and sets the project's dedup version. Raises StaleIndexError when another admission came between,
    something before this segment is undecided, or other frames pass now. Returns the new version.
    """
    order.take_turns(cursor, [project_id])
    named = {"project_id": project_id, "segment_id": segment_id, "version": version}
    pts_ms = [verdict.pts_ms for verdict in verdicts]
    turn = cursor.execute(sql("admission", "raise_version"), named).fetchone()
    is_current = cursor.execute(sql("admission", "is_admissible"), {**named, "pts_ms": sorted(pts_ms)}).rowcount == 1
    if turn is None or not is_current or not order.is_next(cursor, project_id, segment_id):
        raise StaleIndexError(f"project {project_id} was decided by another since version {version}")
    cursor.execute(
        sql("admission", "admit"),
        {
            **named,
            "pts_ms": pts_ms,
            "reasons": [verdict.reason for verdict in verdicts],
            "segments": [verdict.segment_id for verdict in verdicts],
            "representatives": [verdict.representative_pts_ms for verdict in verdicts],
        },
    )
    cursor.execute(sql("admission", "set_decided"), named)
    return int(turn.dedup_version)


def frames_of(rows: Sequence[Any]) -> Frames:
    """Rows (segment_id, pts_ms, phash) as arrays."""
    return Frames(
        segment_ids=np.array([row.segment_id or 0 for row in rows], np.int64),
        pts_ms=np.array([row.pts_ms for row in rows], np.int64),
        phash=_hashes(rows),
    )


def _hashes(rows: Sequence[Any]) -> NDArray[np.uint64]:
    return np.array([row.phash for row in rows], np.int64).view(np.uint64)
