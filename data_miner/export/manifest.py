"""manifest.csv: where every image comes from, who owns it and what was decided about it by which model."""

import csv
import unicodedata
from pathlib import Path

from data_miner.export.base import Dataset, clipped, model_name
from data_miner.records import ExportImage, FrameScore
from data_miner.sources.links import url_at as url_at

_VIDEO = ["url", "video", "pts_ms", "title", "uploader", "channel", "license", "upload_date"]
_PICTURE = ["width", "height", "sharpness", "brightness"]
_SCORES = ["positive", "positive_prompt", "negative", "negative_prompt", "junk", "junk_prompt"]
_LABELS = ["boxes", "box_scores", "labelled_by"]
_CAUSES = ["filter_model", "dedup_model", "detect_model", "config"]
COLUMNS = ["image", "split", *_VIDEO, *_PICTURE, *_SCORES, *_LABELS, *_CAUSES]


def write(folder: Path, dataset: Dataset) -> None:
    """Write manifest.csv, ordered by image name; without times, run ids or absolute paths."""
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for image in dataset.images:
            writer.writerow({name: tame(value) for name, value in row(image).items()})


def row(image: ExportImage) -> dict[str, str]:
    """One image's line, by column. Scores have four decimals; `boxes` is a count, `box_scores` best first."""
    boxes, video = clipped(image), image.video
    return {
        "image": image.name,
        "split": image.split,
        "url": url_at(video, image.pts_ms),
        "video": video.id,
        "pts_ms": str(image.pts_ms),
        "title": video.title,
        "uploader": video.uploader,
        "channel": video.channel,
        "license": video.license,
        "upload_date": video.upload_date,
        "width": str(image.width),
        "height": str(image.height),
        "sharpness": f"{image.sharpness:.1f}",
        "brightness": f"{image.brightness:.1f}",
        **_scores(image.score),
        "boxes": str(len(boxes)),
        "box_scores": "; ".join(f"{box.label} {box.score:.4f}" for box in boxes),
        "labelled_by": image.labelled_by,
        **{f"{role}_model": model_name(image.models.get(role, "")) for role in ("filter", "dedup", "detect")},
        "config": image.config_hash,
    }


def tame(text: str) -> str:
    """One line of text that no spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    kinds = {"Cc": " ", "Zl": " ", "Zp": " ", "Cs": "\ufffd"}
    line = " ".join("".join(kinds.get(unicodedata.category(letter), letter) for letter in text).split())
    return f"'{line}" if line[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") else line


def _scores(score: FrameScore | None) -> dict[str, str]:
    if score is None:
        return dict.fromkeys(_SCORES, "")
    values = ((name, getattr(score, name)) for name in _SCORES)
    return {name: f"{value:.4f}" if isinstance(value, int | float) else value or "" for name, value in values}
