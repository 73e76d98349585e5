"""What a run says at its start, while it waits, and at its end: from videos to boxes in a few lines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from data_miner.cli import words
from data_miner.cli.standing import status_of as status_of
from data_miner.config.settings import Settings
from data_miner.export.versions import VersionSummary, read_version
from data_miner.ledger import status as ledger_status
from data_miner.ledger.connection import Cursor

if TYPE_CHECKING:
    from data_miner.cli.preparation import Prepared
    from data_miner.engine.devices import Machine

_INDENT = 11


def header(prepared: "Prepared", device: "Machine", settings: Settings, dashboard: str | None) -> str:
    """Say in one line what is mined on what, and that Ctrl-C is safe."""
    card = device.cards[0] if device.cards else None
    on = f"{device.device} {card.name} {words.size(card.vram_bytes)}" if card else device.device
    parts = [prepared.name, f"config {prepared.config_hash[:6]}", on, f"data {words.shown(settings.data)}"]
    parts += [f"ray {dashboard}"] if dashboard else []
    return " · ".join([*parts, "Ctrl-C is safe, the same command goes on"])


def waiting_line(site: Any) -> str:
    """Say which site is waited for, since when, why and until when; a row of ledger.status.waits_for."""
    detail = f" ({shorten(site.detail, 120, placeholder=' …')})" if site.detail else ""
    since, next_try = words.clock(site.since), words.clock(site.next_try)
    videos = f"{words.number(site.jobs)} wait{'s' if site.jobs == 1 else ''} for it, none failed"
    return (
        f"{site.name}: {site.reason}{detail} since {since}; {videos}; next try {next_try};"
        " data-miner doctor says what may help"
    )


def lines(cursor: Cursor, project: Any, found: Mapping[str, Any], *, seconds: float, has_worked: bool) -> list[str]:
    """Say how a run ended; `found` is what status_of gave."""
    return summary_lines(
        found,
        elapsed_s=seconds,
        nothing_to_do=not has_worked,
        dataset=read_version(Path(found["dataset"])) if found["dataset"] else None,
        yields=ledger_status.yields(cursor, project.name),
        next_step=_next_step(project, found),
    )


def summary_lines(
    found: Mapping[str, Any],
    *,
    elapsed_s: float | None = None,
    nothing_to_do: bool = False,
    dataset: VersionSummary | None = None,
    yields: Sequence[Any] = (),
    next_step: str | None = None,
) -> list[str]:
    """Write status_of's dict as lines; `yields` are rows of ledger.status.yields, best first.

    A line stands only where there is something to say.
    """
    in_time = f" in {words.duration(elapsed_s)}" if elapsed_s is not None else ""
    nothing = ", nothing was left to do" if nothing_to_do else ""
    written = [
        _line(found["state"], f"{found['project']}{in_time}{nothing}"),
        _line("videos", _videos(found)),
        *_waiting(found),
        _line("frames", funnel(found["frames"])),
        *_dropped(found["drops"]),
        *_failed(found["failures"]),
        _line("boxes", _boxes(found)),
        *_yield(yields),
        *_dataset(found, dataset),
        *_report(dataset),
    ]
    return [*written, _line("next", next_step)] if next_step else written


def funnel(frames: Mapping[str, int]) -> str:
    """`412 extracted → 371 good → 160 match → 49 unique → 47 with boxes`."""
    names = {"extracted": "extracted", "good": "good", "passed": "match", "unique": "unique"}
    steps = [f"{words.number(frames[key])} {name}" for key, name in names.items()]
    return " → ".join([*steps, f"{words.number(frames['with_boxes'])} with boxes"])


def _next_step(project: Any, found: Mapping[str, Any]) -> str | None:
    if found["videos"]["dead"] or found["failures"]:
        return f"data-miner jobs -p {project.name} --dead, then data-miner retry -p {project.name}"
    if project.config.get("sources", {}).get("sample"):
        return "source .venv/bin/activate && data-miner doctor && data-miner init my_project"
    if found["dataset"] and found["state"] == "finished":
        data = words.shown(Path(found["dataset"]).parent / "latest" / "data.yaml")
        return f"yolo detect train data={data} model=yolo11n.pt"
    return None


def _videos(found: Mapping[str, Any]) -> str:
    videos = found["videos"]
    parts = [f"{words.number(videos['mined'])} mined"]
    parts += [f"{words.number(videos[name])} {name}" for name in ("waiting", "blocked") if videos[name]]
    if videos["skipped"]:
        why = words.reasons(found["drops"]["download"])
        parts.append(f"{words.number(videos['skipped'])} skipped" + (f" ({why})" if why else ""))
    parts += [f"{words.number(videos['dead'])} dead"] if videos["dead"] else []
    return f"{words.number(videos['found'])}: {' · '.join(parts)}"


def _waiting(found: Mapping[str, Any]) -> list[str]:
    shut = [(name, site) for name, site in found["sites"].items() if site["state"] != "open"]
    return [
        _line(
            "waiting",
            f"for {name}: {site['reason']} since {words.clock(site['since'])},"
            f" next try {words.clock(site['next_try'])}",
        )
        for name, site in shut
    ]


def _dropped(drops: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Frames only: what was skipped of the videos stands with them."""
    parts = [words.reasons(counted) for stage, counted in drops.items() if counted and stage != "download"]
    return [_line("dropped", " | ".join(parts))] if parts else []


def _failed(failures: Mapping[str, Mapping[str, int]]) -> list[str]:
    parts = [f"{stage} {words.reasons(counted)}" for stage, counted in failures.items() if counted]
    return [_line("failed", " | ".join(parts))] if parts else []


def _boxes(found: Mapping[str, Any]) -> str:
    by_class = words.reasons(found["boxes_by_class"])
    return words.number(found["boxes"]) + (f": {by_class}" if by_class else "")


def _yield(yields: Sequence[Any]) -> list[str]:
    if len(yields) < 2:
        return []
    ends = (yields[0], yields[-1])
    best, least = (f'"{row.locator}" {words.number(row.images / row.videos)}' for row in ends)
    return [_line("yield", f"best {best} images a video · least {least}")]


def _dataset(found: Mapping[str, Any], dataset: VersionSummary | None) -> list[str]:
    if dataset is None:
        return [_line("dataset", words.shown(found["dataset"]))] if found["dataset"] else []
    return [_line("dataset", dataset_line(dataset))]


def _report(dataset: VersionSummary | None) -> list[str]:
    page = dataset.path.resolve() / "report.html" if dataset is not None else None
    return [_line("report", page.as_uri())] if page is not None and page.is_file() else []


def dataset_line(dataset: VersionSummary) -> str:
    """`data/datasets/glass_door/v3   920 images (46 without a box): 736 train, 184 val, by video`."""
    change = f" (+{words.number(dataset.added)} −{words.number(dataset.removed)})" if dataset.is_new else ""
    without = f" ({words.number(dataset.background)} without a box)" if dataset.background else ""
    sides = f"{words.number(dataset.train)} train, {words.number(dataset.val)} val, by video"
    return f"{words.shown(dataset.path)}   {words.number(dataset.images)} images{change}{without}: {sides}"


def _line(name: str, text: str) -> str:
    return f"{name:<{_INDENT}}{text}"
