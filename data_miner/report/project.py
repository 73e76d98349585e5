"""The report of a project: its findings laid out in sections, and written as one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from data_miner.config.identity import rules_hash
from data_miner.ledger.connection import Ledger
from data_miner.ledger.report import Key
from data_miner.report.album import Album, fill
from data_miner.report.chart import Chart, chart_of
from data_miner.report.figures import Figure, box_text, figure, is_link, score_text, shortfall, title_of
from data_miner.report.findings import Dropped, Findings, take
from data_miner.report.page import PICTURE_BYTES, write_page
from data_miner.report.reasons import WORDS
from data_miner.sources.links import plain_address
from data_miner.store.artifacts import Store

_MOST_ROWS = 300  # sources and sites in a table
_MOST_PROMPTS = 40
_STAGES = {"extract": "Extract", "filter": "Filter", "dedup": "Dedup", "detect": "Detect"}


def write_report(
    ledger: Ledger,
    project: Any,
    store: Store,
    path: Path,
    *,
    version: str = "",
    is_dated: bool = True,
    budget_bytes: int = PICTURE_BYTES,
) -> int:
    """Write what was kept, dropped and why to one page of at most 30 MB; returns its size in bytes. UsageError.

    The same state gives the same bytes. Without `is_dated` nothing is in it that clocks decide (sites' states):
    a dataset version's copy, whose name is `version`. `budget_bytes` is for the pictures, as base64.
    """
    found = take(ledger, project.name)
    album = fill(store, found.rows, _lists(found), budget_bytes)
    values = {
        "title": f"{project.name} {version}".strip(),
        "project": project.name,
        "version": version,
        "found": found,
        "rules": rules_hash(found.config),
        "facts": _facts(found),
        "funnel": _funnel(found),
        "charts": [_chart(chart_of(histogram), found, album) for histogram in found.histograms],
        "mined": _mined(found, album),
        "stages": _stages(found, album),
        "groups": _groups(found, album),
        "yields": _yields(found),
        "skipped": _videos_by_reason(found.skipped, found.skipped_videos),
        "dead": _dead(found),
        "sites": _sites(found, is_dated),
        "is_dated": is_dated,
        "words": WORDS,
        "most_rows": _MOST_ROWS,
    }
    return write_page(path, "report.html.j2", album, values)


def _lists(found: Findings) -> list[Sequence[Key]]:
    """What wants pictures: each list gets its first ones before any gets all."""
    bins = [found.shown(found_bin) for histogram in found.histograms for found_bin in histogram.bins]
    drops = [[key for key, _ in drop.nearest] for drop in found.dropped]
    groups = [(group.representative, *group.examples) for group in found.groups]
    return [found.mined, *bins, *drops, *groups]


def _facts(found: Findings) -> list[tuple[str, str]]:
    """What was looked for, and with what; of a path only its last part."""
    own = found.config.filter
    lists = [(f"{name} prompts", getattr(own, name)) for name in ("positive", "negative", "junk") if own.model]
    classes = [
        name if words == (name,) else f"{name} ({', '.join(words)})" for name, words in found.config.classes.items()
    ]
    models = {"filter": [own.model], "dedup": [found.config.dedup.model], "detect": found.config.detect.detectors}
    named = [(f"{stage} model", [_last_part(name) for name in names if name]) for stage, names in models.items()]
    return [(name, _listed(words)) for name, words in [("classes", classes), *named, *lists] if words]


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST_PROMPTS:,} more" if len(words) > _MOST_PROMPTS else ""
    return " · ".join(words[:_MOST_PROMPTS]) + more


def _funnel(found: Findings) -> list[dict[str, Any]]:
    """Videos, then frames; the share is of the step before, the bar of the first one of its kind."""
    names = {"extracted": "frames extracted", "good": "good", "passed": "match", "unique": "unique"}
    steps = [("videos found", found.videos["found"]), ("mined", found.videos["mined"])]
    frames = [(name, found.frames[key]) for key, name in names.items()]
    frames += [("with boxes", found.frames["with_boxes"])] if found.scope.detect_key else []
    return [
        {
            "name": name,
            "count": count,
            "bar": 100 * count / max(1, chain[0][1]),
            "share": 100 * count / chain[i - 1][1] if i and chain[i - 1][1] else None,
            "is_first": i == 0,
        }
        for chain in (steps, frames)
        for i, (name, count) in enumerate(chain)
    ]


def _chart(chart: Chart, found: Findings, album: Album) -> dict[str, Any]:
    bins = []
    for bar in chart.bars:
        figures = []
        for key in found.shown(bar.held) if bar.held else ():
            boxes = found.boxes.get(key, ())
            figures.append(figure(found.rows[key], album, *score_text(chart.score, found.rows[key], boxes), boxes))
        bins.append({"bar": bar, "figures": figures})
    return {"chart": chart, "bins": bins}


def _mined(found: Findings, album: Album) -> dict[str, Any]:
    """In order of video and time: a hash chose them."""
    keys = sorted(
        (key for key in found.mined if key in found.rows),
        key=lambda key: (found.rows[key].video_id, found.rows[key].pts_ms),
    )
    figures = [
        figure(found.rows[key], album, box_text(found.boxes.get(key, ())), "", found.boxes.get(key, ())) for key in keys
    ]
    total = found.frames["with_boxes"] if found.scope.detect_key else found.frames["unique"]
    has_human = any(box.is_human for boxes in found.boxes.values() for box in boxes)
    return {"figures": figures, "total": total, "has_human": has_human}


def _stages(found: Findings, album: Album) -> list[dict[str, Any]]:
    stages = []
    for stage, name in _STAGES.items():
        drops = [drop for drop in found.dropped if drop.stage == stage]
        if drops:
            total = sum(drop.count for drop in drops)
            stages.append(
                {"name": name, "total": total, "reasons": [_reason(drop, total, found, album) for drop in drops]}
            )
    return stages


def _reason(drop: Dropped, total: int, found: Findings, album: Album) -> dict[str, Any]:
    figures: list[Figure] = []
    for key, distance in drop.nearest:
        if key in found.rows:
            row, boxes = found.rows[key], found.boxes.get(key, ()) if drop.stage == "detect" else ()
            figures.append(figure(row, album, *shortfall(drop.reason, row, distance, boxes), boxes))
    return {"reason": drop.reason, "count": drop.count, "bar": 100 * drop.count / total, "figures": figures}


def _groups(found: Findings, album: Album) -> list[dict[str, Any]]:
    return [
        {
            "members": group.members,
            "videos": group.videos,
            "figures": [
                figure(found.rows[key], album, "kept" if key == group.representative else "")
                for key in (group.representative, *group.examples)
                if key in found.rows
            ],
        }
        for group in found.groups
        if group.representative in found.rows
    ]


def _yields(found: Findings) -> list[dict[str, Any]]:
    best = max((row.images / row.videos for row in found.yields if row.videos), default=0) or 1
    return [
        {
            "name": _last_part(row.locator) if row.kind == "folder" else plain_address(row.locator),
            "row": row,
            "each": row.images / row.videos if row.videos else None,
            "bar": 100 * row.images / row.videos / best if row.videos else 0,
        }
        for row in found.yields
    ]


def _videos_by_reason(counts: Mapping[str, int], rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"reason": reason, "count": count, "videos": [_video(row) for row in rows if row.reason == reason]}
        for reason, count in counts.items()
    ]


def _dead(found: Findings) -> list[dict[str, Any]]:
    return [
        {
            "stage": stage,
            "reason": reason,
            "count": count,
            "videos": [_video(row) for row in found.dead_videos if (row.stage, row.reason) == (stage, reason)],
        }
        for stage, counts in sorted(found.failures.items())
        for reason, count in sorted(counts.items())
    ]


def _video(row: Any) -> dict[str, Any]:
    href = plain_address(row.url)
    return {"href": href if is_link(href) else None, "title": title_of(row.title, row.url, row.id), "id": row.id}


def _sites(found: Findings, is_dated: bool) -> list[dict[str, Any]]:
    states = {site.name: site for site in found.sites} if is_dated else {}
    return [
        {
            "name": row.name or "this machine",
            "videos": row.videos,
            "skipped": row.skipped,
            "state": states.get(row.name),
        }
        for row in found.site_videos[:_MOST_ROWS]
    ]


def _last_part(name: str) -> str:
    return PurePath(name).name if name.startswith("/") else name
