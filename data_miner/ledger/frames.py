"""Segments, frames, embeddings, scores and boxes: what is measured of pixels, written in bulk."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data_miner.errors import LeaseLostError
from data_miner.ledger import verdicts
from data_miner.ledger.connection import Cursor
from data_miner.ledger.queries import sql
from data_miner.ledger.verdicts import signed
from data_miner.records import Box, FrameRow, FrameScore


def segment(cursor: Cursor, segment_id: int) -> Any:
    """A segment with its fetch: where the video and the shard lie."""
    return cursor.execute(sql("frames", "segment"), {"segment_id": segment_id}).fetchone()


def params(cursor: Cursor, project_id: int, stage: str) -> Any:
    """A project's present key and parameters of a stage; raises LeaseLostError when it was deleted."""
    row = cursor.execute(sql("frames", "params"), {"project_id": project_id, "stage": stage}).fetchone()
    if row is None:
        raise LeaseLostError(f"project {project_id} was deleted, and its jobs with it")
    return row


def extract_params(cursor: Cursor, segment_id: int, key: str) -> dict[str, Any] | None:
    """Parameters that an extract key stands for, from any project that has it; None: nobody wants it now."""
    row = cursor.execute(sql("frames", "extract_params"), {"segment_id": segment_id, "key": key}).fetchone()
    return row.params if row is not None else None


def extracted(
    cursor: Cursor,
    segment_id: int,
    rows: Sequence[FrameRow],
    *,
    shard: str,
    sha256: str,
    size_bytes: int,
    dropped_max_frames: int,
    is_truncated: bool,
) -> None:
    """Write a segment's frames and where its shard lies.

    Frames whose pixels were collected and made again keep their rows, and with them scores and boxes.
    """
    named = {"segment_id": segment_id}
    existing = {row.pts_ms for row in cursor.execute(sql("frames", "frame_times"), named)}
    if existing and existing == {row.pts_ms for row in rows}:
        _move_frames(cursor, segment_id, rows)
    else:
        if existing:  # the file was fetched anew and is another one: what was said of its pictures is void
            verdicts.filter_again(cursor, segment_id)
            cursor.execute(sql("frames", "clear_embeddings"), named)  # a time of the old may be one of the new
            cursor.execute(sql("frames", "clear_frames"), named)
        _copy_frames(cursor, segment_id, rows)
    cursor.execute(
        sql("frames", "extracted"),
        {
            "segment_id": segment_id,
            "shard": shard,
            "sha256": sha256,
            "size_bytes": size_bytes,
            "dropped_max_frames": dropped_max_frames,
            "is_truncated": is_truncated,
        },
    )


def good_frames(cursor: Cursor, project_id: int, segment_id: int) -> list[Any]:
    """Frames that stand the project's quality thresholds: (pts_ms, shard_offset, size_bytes)."""
    named = {"project_id": project_id, "segment_id": segment_id}
    return cursor.execute(sql("frames", "good_frames"), named).fetchall()


def embeddings(cursor: Cursor, segment_id: int, model: str) -> list[Any]:
    """Parts of a segment's embeddings under a model: (segment_id, pts_ms, path)."""
    return cursor.execute(sql("frames", "embeddings"), {"segment_id": segment_id, "model": model}).fetchall()


def unembedded(cursor: Cursor, project_id: int, segment_id: int, model: str) -> list[Any]:
    """Frames that need a vector under a model and have none: (id, shard_offset, size_bytes), id being pts_ms."""
    named = {"project_id": project_id, "segment_id": segment_id, "model": model}
    return cursor.execute(sql("frames", "unembedded"), named).fetchall()


def add_embedding(cursor: Cursor, segment_id: int, model: str, pts_ms: Sequence[int], path: str) -> None:
    """Record one more part of a segment's embeddings."""
    cursor.execute(
        sql("frames", "add_embedding"),
        {"segment_id": segment_id, "model": model, "pts_ms": list(pts_ms), "path": path},
    )


def scored(cursor: Cursor, project_id: int, segment_id: int, key: str, scores: Iterable[FrameScore]) -> None:
    """Replace a segment's scores in one project."""
    named = {"project_id": project_id, "segment_id": segment_id}
    cursor.execute(sql("frames", "clear_scores"), named)
    with cursor.copy(sql("frames", "copy_scores")) as copy:
        for s in scores:
            positive, negative = (s.positive, s.positive_prompt), (s.negative, s.negative_prompt)
            copy.write_row((project_id, segment_id, s.pts_ms, key, *positive, *negative, s.junk, s.junk_prompt))


def undetected(cursor: Cursor, project_id: int, segment_id: int, detector: str) -> list[Any]:
    """Kept frames without a result under this detector."""
    named = {"project_id": project_id, "segment_id": segment_id, "detector": detector}
    return cursor.execute(sql("frames", "undetected"), named).fetchall()


def detected(cursor: Cursor, segment_id: int, detector: str, boxes: Mapping[int, Sequence[Box]]) -> None:
    """Write boxes by pts_ms; a frame without a box has its row too. Where another was faster, its boxes stay."""
    named = {"segment_id": segment_id, "detector": detector, "pts_ms": sorted(boxes)}
    mine = [row.pts_ms for row in cursor.execute(sql("frames", "add_detection_run"), named).fetchall()]
    with cursor.copy(sql("frames", "copy_boxes")) as copy:
        for pts_ms in sorted(mine):
            best_first = sorted(boxes[pts_ms], key=lambda box: (-box.score, box.xyxy))
            for ordinal, box in enumerate(best_first):
                word = box.prompt or box.label
                vote = (box.agreement, box.model or None)
                copy.write_row((segment_id, pts_ms, detector, ordinal, word, box.score, *box.xyxy, *vote))


def boxes(cursor: Cursor, segment_id: int, detector: str) -> dict[int, list[Box]]:
    """Stored boxes by pts_ms of every frame that this detector has seen; the label is the detector's word."""
    named = {"segment_id": segment_id, "detector": detector}
    found: dict[int, list[Box]] = {row.pts_ms: [] for row in cursor.execute(sql("frames", "runs"), named)}
    for b in cursor.execute(sql("frames", "boxes"), named):
        found[b.pts_ms].append(Box(b.prompt, b.score, (b.x1, b.y1, b.x2, b.y2), b.prompt))
    return found


def _copy_frames(cursor: Cursor, segment_id: int, rows: Sequence[FrameRow]) -> None:
    with cursor.copy(sql("frames", "copy_frames")) as copy:
        for r in rows:
            place, measured = (
                (r.offset, r.size_bytes, r.width, r.height),
                (r.sharpness, r.brightness, r.contrast),
            )
            copy.write_row((segment_id, r.pts_ms, *place, *measured, signed(r.phash)))


def _move_frames(cursor: Cursor, segment_id: int, rows: Sequence[FrameRow]) -> None:
    """The same pictures, made again: only their places in the shard may differ."""
    places = {"offsets": [row.offset for row in rows], "sizes": [row.size_bytes for row in rows]}
    cursor.execute(
        sql("frames", "move_frames"), {"segment_id": segment_id, "pts_ms": [row.pts_ms for row in rows], **places}
    )
