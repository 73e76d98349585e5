"""`data-miner try`: a project's models and thresholds on pictures or a video, without a trace."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_miner.cli import words
from data_miner.cli.framing import amount, at
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.cli.preparation import load, model_folders
from data_miner.config.schema import ProjectConfig
from data_miner.engine import devices
from data_miner.errors import JobError

if TYPE_CHECKING:
    from data_miner.cli.trial import Trial, Tried

_LISTS = ("positive", "negative", "junk")


@click.command("try")
@around
@with_project
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="As `run --set` would have it.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10**6),
    metavar="N",
    default=20,
    show_default=True,
    help="Pictures of a video, spread over it.",
)
@click.option("--device", metavar="cpu|cuda", help="Where models compute; default: a GPU when there is one.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def try_(
    invocation: Invocation,
    files: tuple[str, ...],
    overrides: tuple[str, ...],
    limit: int,
    device: str | None,
    as_json: bool,
) -> int:
    """Score and detect on pictures or a video, without a trace.

    Reads the project's file and needs no data folder. Boxes are looked for on every picture, also where the filter
    would drop it.
    """
    settings = invocation.settings
    _, config = load(invocation.wanted_project(), settings, overrides, None)
    machine = devices.machine(device)
    from data_miner.cli.trial import Trial

    tried: list[Tried] = []
    problems = [problem for file in files if (problem := _unfit(Path(file))) is not None]
    wanted = [file for file in files if _unfit(Path(file)) is None]
    if wanted:
        with Trial(config, model_folders(settings), machine.device, machine.cpus) as trial:
            for file in wanted:
                problems += _tried(trial, Path(file), config, limit, machine.cpus, tried)
    if as_json:
        click.echo(json.dumps([_facts(one, config) for one in tried], indent=2, ensure_ascii=False))
    elif tried:
        click.echo("\n".join(_table(tried, config)))
    for problem in problems:
        click.echo(f"data-miner: {problem}", err=True)
    return 1 if problems else 0


def _unfit(path: Path) -> str | None:
    """Say in one line why a file cannot be tried; None: it may be."""
    if not path.exists():
        return f"{path}: no such file"
    if path.is_dir():
        return f"{path}: a folder; name its files: {path}/*.jpg"
    return None if path.is_file() else f"{path}: no regular file"


def _tried(
    trial: "Trial", path: Path, config: ProjectConfig, limit: int, threads: int, into: "list[Tried]"
) -> Iterator[str]:
    """Try one file; gives what is wrong with it, if something is."""
    from data_miner.cli.trial import taken_from

    before = len(into)
    try:
        into.extend(trial.judge(taken_from(path, config, limit, threads)))
    except JobError as error:
        yield f"{path}: {error.detail or error.reason}"
        return
    except OSError as error:
        yield f"{path}: cannot be read: {(error.strerror or str(error)).lower()}"
        return
    if len(into) == before:
        yield f"{path}: no picture can be taken from it"


def _table(tried: "list[Tried]", config: ProjectConfig) -> list[str]:
    columns: dict[str, list[Any]] = {"file": [_name(one) for one in tried]}
    for kind in _LISTS if config.filter.model else ():
        if getattr(config.filter, kind):
            columns[kind] = [_score(one, kind) for one in tried]
    columns["verdict"] = [_verdict(one, config) for one in tried]
    missed = [amount(one.failure.threshold, one.failure.distance) if one.failure else "" for one in tried]
    if any(missed):
        columns["failed by"] = missed
    if config.detect.detectors:
        columns["boxes"] = [_boxes(one) for one in tried]
    return words.table(list(columns), zip(*columns.values(), strict=True))


def _score(one: "Tried", kind: str) -> str:
    score = f"{getattr(one.numbers, kind):.2f}"
    return score if kind == "junk" else f"{score} {words.brief(one.prompts[kind])}"  # what junk it is, --json says


def _verdict(one: "Tried", config: ProjectConfig) -> str:
    return one.failure.reason if one.failure else "match" if config.filter.model else "good"


def _name(one: "Tried") -> str:
    return one.file if one.pts_ms is None else f"{one.file} {at(one.pts_ms)}"


def _boxes(one: "Tried") -> str:
    """`glass_door 0.71, 0.44 · door_handle 0.52`."""
    by_label: dict[str, list[str]] = {}
    for box in one.boxes:
        by_label.setdefault(box.label, []).append(f"{box.score:.2f}")
    return " · ".join(f"{label} {', '.join(scores)}" for label, scores in by_label.items())


def _facts(one: "Tried", config: ProjectConfig) -> dict[str, Any]:
    seen, failure = one.numbers, one.failure
    names = ("width", "height", "sharpness", "brightness", "contrast")
    scores = {kind: getattr(seen, kind) for kind in _LISTS}
    return {
        "file": one.file,
        "pts_ms": one.pts_ms,
        "verdict": _verdict(one, config),
        "failed_by": failure.threshold if failure else None,
        "distance": round(failure.distance, 6) if failure else None,
        **{name: getattr(seen, name) for name in names},
        **{
            f"{kind}{end}": value
            for kind in _LISTS
            for end, value in (("", scores[kind]), ("_prompt", one.prompts.get(kind)))
        },
        "boxes": [
            {"label": box.label, "score": box.score, "xyxy": box.xyxy, "prompt": box.prompt, "agreement": box.agreement}
            | ({"model": box.model} if box.model else {})
            for box in one.boxes
        ],
    }
