"""`data-miner frames`: look through a project's frames, mined or dropped, as a table, as data or as pictures."""

import difflib
import sys
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.context import open_ledger, open_store, project_row
from data_miner.cli.framing import at, facts, failed_by, write_csv, write_json
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.config.project import restore
from data_miner.config.schema import ProjectConfig
from data_miner.errors import UsageError
from data_miner.export.names import image_name
from data_miner.ledger import browse, lookup
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.names import clean

_ON_A_PAGE = 50
_SORT_HELP = (
    "By name; time (as videos were found); score, sharpness or brightness (highest first); "
    "failed (nearest to its threshold)."
)


@click.command()
@around
@with_project
@click.option(
    "--stage", metavar="STAGE", help="filter, dedup or detect: what it dropped. extract: all. Default: mined."
)
@click.option("--reason", metavar="WORD", help="Only what was dropped for this: thin_margin, duplicate, no_detection …")
@click.option("--video", metavar="NAME", help="Only of this video: its id, its URL, a picture's name.")
@click.option("--class", "label", metavar="CLASS", help="Only with a box of this class.")
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    metavar="F",
    help="Of the text filter; with --class or without one: of the box.",
)
@click.option("--sort", type=click.Choice(browse.SORTS), help=_SORT_HELP)
@click.option(
    "--limit", type=click.IntRange(1, 10**9), metavar="N", help=f"At most so many; default {_ON_A_PAGE} in a table."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV on stdout.")
@click.option("--out", metavar="DIR", help="Write the pictures as JPEGs into this folder instead.")
@click.option("--boxes", "with_boxes", is_flag=True, help="With --out: boxes drawn on them.")
@pass_invocation
def frames(invocation: Invocation, /, **said: Any) -> None:
    """List frames by stage, reason, class or score; or write them out.

    Without --stage and --reason: the mined ones, which were kept and have a box.
    """
    _check(said)
    settings, name = invocation.settings, invocation.wanted_project()
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, name, settings)
            config = restore(project.config, project.name)
            choice = _choice(cursor, project.id, config, said)
        if said["out"] is not None:
            from data_miner.cli.pictures import write_pictures

            store, _ = open_store(settings, ledger, create=False)
            target = Path(said["out"]).expanduser().absolute()
            classes = list(config.classes) if said["with_boxes"] else None
            with browse.frames(ledger, project.id, choice) as rows:
                click.echo(write_pictures(rows, store, target, classes).line())
            return
        _list(ledger, project, config, choice, said)


def _list(ledger: Ledger, project: Any, config: ProjectConfig, choice: browse.Choice, said: dict[str, Any]) -> None:
    with browse.frames(ledger, project.id, choice) as rows:
        if said["as_json"] or said["as_csv"]:
            (write_json if said["as_json"] else write_csv)((facts(row, config.filter) for row in rows), sys.stdout)
            return
        shown = list(islice(rows, said["limit"] or _ON_A_PAGE))
        is_more = next(rows, None) is not None
    if not shown:
        click.echo(f"data-miner: {project.name} has no such frame; data-miner status -p {project.name}", err=True)
        return
    click.echo("\n".join(_table(shown, config)))
    if is_more:
        click.echo(
            f"data-miner: these are the first {len(shown)}; --limit N shows more, --json and --csv all", err=True
        )


def _table(rows: Iterable[Any], config: ProjectConfig) -> list[str]:
    """Columns that stand nowhere are left out."""
    rows = list(rows)
    columns: dict[str, list[Any]] = {
        "frame": [image_name(row.video_id, row.pts_ms).removesuffix(".jpg") for row in rows]
    }
    columns["at"] = [at(row.pts_ms) for row in rows]
    if config.filter.model:
        columns["positive"] = [_scored(row.positive, row.positive_prompt) for row in rows]
        columns["negative"] = [_scored(row.negative, row.negative_prompt) for row in rows]
    if len({row.reason for row in rows}) > 1:
        columns["reason"] = [row.reason or row.state for row in rows]
    columns["failed by"] = [failed_by(row, config.filter) for row in rows]
    columns["boxes"] = [_boxes(row.boxes) for row in rows]
    if not config.filter.model:
        columns["sharpness"] = [words.number(row.sharpness) for row in rows]
    told = {name: cells for name, cells in columns.items() if any(cells)}
    return words.table(list(told), zip(*told.values(), strict=True))


def _scored(score: float | None, prompt: str | None) -> str:
    return "" if score is None else f"{score:.3f} {words.brief(prompt)}"


def _boxes(boxes: list[dict[str, Any]] | None) -> str:
    """`glass_door 0.71, 0.44 · door_handle 0.52`."""
    by_label: dict[str, list[str]] = {}
    for box in boxes or ():
        by_label.setdefault(box["label"], []).append("human" if box["is_human"] else f"{box['score']:.2f}")
    return " · ".join(f"{label} {', '.join(scores)}" for label, scores in by_label.items())


def _check(said: dict[str, Any]) -> None:
    ways = [flag for flag, name in (("--json", "as_json"), ("--csv", "as_csv"), ("--out", "out")) if said[name]]
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)}: one of them at a time")
    if said["with_boxes"] and said["out"] is None:
        raise UsageError("--boxes draws on what --out DIR writes; name a folder")


def _choice(cursor: Cursor, project_id: int, config: ProjectConfig, said: dict[str, Any]) -> browse.Choice:
    stage, reason, label = said["stage"], said["reason"], said["label"]
    if stage is not None:
        _known("stage", stage, browse.STAGES)
    if reason is not None:
        _known("reason", reason, dict.fromkeys(word for own in browse.REASONS.values() for word in own))
        if stage in browse.REASONS and reason not in browse.REASONS[stage]:
            raise UsageError(f"--reason {reason}: {stage} drops for {', '.join(browse.REASONS[stage])}")
    if label is not None:
        _known("class", label, config.classes)
    is_listed = said["as_json"] or said["as_csv"] or said["out"] is not None
    sort = said["sort"] or ("name" if reason is None or reason in ("rejected", "known", "similar") else "failed")
    return browse.Choice(
        stage=stage or ("mined" if reason is None else "extract"),
        reason=reason,
        videos=_videos(cursor, project_id, said["video"]) if said["video"] is not None else None,
        label=label,
        min_score=said["min_score"],
        sort=sort,
        limit=said["limit"] if is_listed else (said["limit"] or _ON_A_PAGE) + 1,
    )


def _known(kind: str, word: str, known: Collection[str]) -> None:
    if word not in known:
        near = difflib.get_close_matches(word, list(known), 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"--{kind} {word}: unknown; {hint}there are {', '.join(known) or 'none'}")


def _videos(cursor: Cursor, project_id: int, name: str) -> list[str]:
    name = clean(name)
    found = [named.video_id for named in lookup.resolve(cursor, name)]
    own = [video_id for video_id in found if lookup.projects_of_video(cursor, video_id, project_id)]
    if not own:
        near = None if found else lookup.nearest(cursor, name)
        hint = f"; did you mean {near}?" if near else ("; another project has it" if found else "")
        raise UsageError(f"--video {name}: no such video in this project{hint}")
    return own
