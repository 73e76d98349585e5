"""One frame as a page shows it: picture, boxes, link, and what is said beneath. Text only, the template marks it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from data_miner.ledger.report import Key
from data_miner.records import VideoInfo
from data_miner.report.album import Album
from data_miner.report.scores import Score
from data_miner.sources.links import url_at
from data_miner.sources.names import image_name

_MOST_LETTERS = 90


@dataclass(frozen=True, slots=True)
class Figure:
    """A frame on a page."""

    picture: int | None  # place in the album; None: no pixels here, or no room
    href: str | None  # None: a local file, which a page cannot open at a second
    name: str  # what `show` takes
    title: str
    time: str
    width: int
    height: int
    boxes: Sequence[Any]
    lead: str  # why it stands here
    note: str


def figure(row: Any, album: Album, lead: str, note: str = "", boxes: Sequence[Any] = ()) -> Figure:
    """A row of ledger.report.pictures as a figure."""
    href = url_at(VideoInfo(row.video_id, row.url, None), row.pts_ms)
    return Figure(
        picture=album.places.get((row.segment_id, row.pts_ms)),
        href=href if is_link(href) else None,
        name=image_name(row.video_id, row.pts_ms),
        title=title_of(row.title, row.url, row.video_id),
        time=clock(row.pts_ms),
        width=row.width,
        height=row.height,
        boxes=boxes,
        lead=clipped(lead),
        note=clipped(note),
    )


def is_link(address: str) -> bool:
    """Whether a page may link there: what came from the web may say javascript: or file:."""
    return address.startswith(("http://", "https://"))


def title_of(title: str, url: str, video_id: str) -> str:
    """A title of one line and bounded length; without one the file's name or the id."""
    return clipped(title) or clipped(PurePath(url).name if not is_link(url) else video_id)


def clipped(text: str) -> str:
    """One line of at most 90 letters: titles and prompts may be pages long."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS - 1]}…"


def clock(pts_ms: int) -> str:
    """`6:52`, `1:02:03`."""
    minutes, seconds = divmod(pts_ms // 1000, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


def score_text(score: Score, row: Any, boxes: Sequence[Any] = ()) -> tuple[str, str]:
    """A frame's value of a score, and the words or box it comes from."""
    if score.name in ("positive", "negative", "junk"):
        return f"{getattr(row, score.name):.3f}", getattr(row, f"{score.name}_prompt") or ""
    if score.name in ("margin", "junk_margin"):
        other = "negative" if score.name == "margin" else "junk"
        return f"{row.positive - getattr(row, other):.3f}", f"{row.positive:.3f} − {getattr(row, other):.3f}"
    if score.name == "conf":
        return box_text(boxes), ""
    value = row.brightness if score.name in ("darkest", "brightest") else getattr(row, score.name)
    return f"{value:.1f}", ""


def box_text(boxes: Sequence[Any]) -> str:
    """`glass_door 0.71 0.44 · door_handle by hand`."""
    by_label: dict[str, list[str]] = {}
    for box in boxes:
        by_label.setdefault(box.label, []).append("by hand" if box.is_human else f"{box.score:.2f}")
    return " · ".join(f"{label} {' '.join(dict.fromkeys(found))}" for label, found in by_label.items())


def shortfall(reason: str, row: Any, distance: float | None, boxes: Sequence[Any] = ()) -> tuple[str, str]:
    """What a dropped frame has, and by how much it failed."""
    near = f"{distance:.3f}" if distance is not None else ""
    near_px = f"{distance:.1f}" if distance is not None else ""
    said: Mapping[str, tuple[str, str]] = {
        "too_small": (f"{min(row.width, row.height)} px", f"{distance or 0:.0f} px short"),
        "too_dark": (f"brightness {row.brightness:.1f}", f"{near_px} short"),
        "too_bright": (f"brightness {row.brightness:.1f}", f"{near_px} over"),
        "flat": (f"contrast {row.contrast:.1f}", f"{near_px} short"),
        "too_blurry": (f"sharpness {row.sharpness:.1f}", f"{near_px} short"),
        "no_match": (f"{row.positive or 0:.3f} {row.positive_prompt or ''}", f"{near} short"),
        "negative": (f"{row.negative or 0:.3f} {row.negative_prompt or ''}", f"{near} over"),
        "junk": (f"{row.junk or 0:.3f} {row.junk_prompt or ''}", f"{near} over"),
        "thin_margin": (_margins(row), f"{near} short"),
        "no_detection": _undetected(distance, near, boxes),
    }
    if reason in said:
        return said[reason]
    return (f"{distance:.0f} of 64 bits differ" if distance is not None else reason), ""


def keyed(rows: Mapping[Key, Any], keys: Sequence[Key]) -> list[Any]:
    """Rows of these keys; those that may not be shown are missing."""
    return [rows[key] for key in keys if key in rows]


def _margins(row: Any) -> str:
    others = [value for value in (row.negative, row.junk) if value is not None]
    return f"{row.positive or 0:.3f} − {max(others, default=0):.3f}"


def _undetected(distance: float | None, near: str, boxes: Sequence[Any]) -> tuple[str, str]:
    if distance is None:
        return "nothing found", ""
    return box_text(boxes), f"{near} short" if distance else "too small, too large or of no wanted class"
