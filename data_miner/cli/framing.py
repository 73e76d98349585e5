"""A frame's facts as data and as words: for `frames` and `show`."""

import csv
import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from data_miner.config.schema import Filter
from data_miner.config.verdict import Numbers, judge
from data_miner.export.manifest import tame, url_at
from data_miner.export.names import image_name
from data_miner.records import VideoInfo

COLUMNS = (
    *("name", "video", "pts_ms", "url", "stage", "reason", "failed_by", "distance", "like", "like_bits"),
    *("width", "height", "sharpness", "brightness", "contrast"),
    *("positive", "positive_prompt", "negative", "negative_prompt", "junk", "junk_prompt", "boxes"),
)
_SCORES = ("positive", "positive_prompt", "negative", "negative_prompt", "junk", "junk_prompt")


def at(pts_ms: int) -> str:
    """`6:52`, `1:02:09`: where a player shows it."""
    minutes, second = divmod(pts_ms // 1000, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}" if minutes >= 60 else f"{minutes}:{second:02d}"


def numbers(row: Any) -> Numbers:
    """What the filter judges by, of a row of ledger.browse or ledger.lookup."""
    measured = (row.width, row.height, row.brightness, row.contrast, row.sharpness)
    return Numbers(*measured, row.positive, row.negative, row.junk)


def missed(row: Any, rule: Filter) -> tuple[str, float] | None:
    """Which threshold a dropped frame failed and by how much, in its own unit; None where none did."""
    if row.reason == "no_detection":
        return ("conf", row.conf - row.best_below) if row.best_below is not None else None
    failure = judge(rule, numbers(row))
    # Where a person's word was the reason, or the thresholds have changed since, no number was.
    return (failure.threshold, failure.distance) if failure is not None and failure.reason == row.reason else None


def failed_by(row: Any, rule: Filter) -> str:
    """`margin 0.005`, `min_sharpness 2.4`, `3 bits from NAME`; empty for a frame that nothing dropped."""
    if row.like_video is not None:
        near = f"{row.like_bits} bits from" if row.reason == "duplicate" else "like"
        return f"{near} {image_name(row.like_video, row.like_pts_ms).removesuffix('.jpg')}"
    found = missed(row, rule)
    if found is None:
        return "no box at all" if row.reason == "no_detection" else ""
    return amount(*found)


def amount(threshold: str, distance: float) -> str:
    """`margin 0.005`, `min_sharpness 2.4`: by how much a threshold was missed."""
    return f"{threshold} {distance:.3f}" if distance < 1 else f"{threshold} {distance:,.1f}".removesuffix(".0")


def facts(row: Any, rule: Filter) -> dict[str, Any]:
    """A row of ledger.browse as JSON-able values; boxes in px, best first."""
    found = missed(row, rule)
    like = image_name(row.like_video, row.like_pts_ms) if row.like_video is not None else None
    return {
        "name": image_name(row.video_id, row.pts_ms),
        "video": row.video_id,
        "pts_ms": row.pts_ms,
        "url": url_at(VideoInfo(row.video_id, row.url, None), row.pts_ms),
        "stage": row.state,
        "reason": row.reason,
        "failed_by": found[0] if found else None,
        "distance": round(found[1], 6) if found else None,
        "like": like,
        "like_bits": row.like_bits,
        **{name: getattr(row, name) for name in ("width", "height", "sharpness", "brightness", "contrast", *_SCORES)},
        "boxes": row.boxes or [],
    }


def write_json(found: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write a JSON list, a frame a line, as they come."""
    mark = "[\n"
    for entry in found:
        out.write(mark + json.dumps(entry, ensure_ascii=False))
        mark = ",\n"
    out.write("[]\n" if mark == "[\n" else "\n]\n")


def write_csv(found: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write CSV with a head, as they come; boxes as `label score`, and no text that a spreadsheet would run."""
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in found:
        boxes = "; ".join(f"{box['label']} {box['score']:.4f}" for box in entry["boxes"])
        cells = {**entry, "boxes": boxes}
        writer.writerow({name: tame(value) if isinstance(value, str) else value for name, value in cells.items()})
