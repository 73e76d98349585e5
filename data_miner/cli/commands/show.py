"""`data-miner show`: all that is known of a picture or a video, by any name that a person can have in hand."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from data_miner.cli.card import facts_of_picture, facts_of_video
from data_miner.cli.context import open_ledger, project_row
from data_miner.cli.framing import at
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.cli.telling import lines
from data_miner.config.settings import Settings
from data_miner.errors import DataMinerError
from data_miner.export.names import image_name
from data_miner.ledger import lookup
from data_miner.ledger.connection import Cursor
from data_miner.ledger.lookup import Named
from data_miner.ledger.names import clean


@click.command()
@around
@with_project
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def show(invocation: Invocation, name: str, as_json: bool) -> None:
    """Tell all about an image, frame, video or URL.

    NAME: an image's file name or path, a video's id with or without its extractor, its URL (with a time: the
    picture there), a local file. Looked for in all projects, whatever
    DATA_MINER_PROJECT says, or in that of -p.
    """
    name = clean(name)
    settings, project = invocation.settings, invocation.project  # of all, whatever DATA_MINER_PROJECT says
    with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
        project_id = project_row(cursor, project, settings).id if project else None
        found = [_facts(cursor, named, project_id, settings) for named in _meant(cursor, name, project_id, project)]
    if as_json:
        json.dump(found if len(found) > 1 else found[0], sys.stdout, indent=2, ensure_ascii=False, default=str)
        click.echo()
    else:
        click.echo("\n\n".join("\n".join(lines(facts)) for facts in found))


def _meant(cursor: Cursor, name: str, project_id: int | None, project: str | None) -> Sequence[Named]:
    found = lookup.resolve(cursor, name)
    if not found:
        near = lookup.nearest(cursor, name)
        hint = f"; did you mean {near}?" if near else "; `data-miner frames -p NAME` lists pictures"
        raise DataMinerError(f"{name}: nothing here is called so{hint}")
    own = [
        named for named in found if project_id is None or lookup.projects_of_video(cursor, named.video_id, project_id)
    ]
    if not own:
        raise DataMinerError(f"{found[0].video_id}: {project} does not have it; leave -p out to look everywhere")
    return own


def _facts(cursor: Cursor, named: Named, project_id: int | None, settings: Settings) -> dict[str, Any]:
    if named.pts_ms is None and named.second is None:
        return facts_of_video(cursor, named.video_id, project_id, settings)
    span = (named.pts_ms, named.pts_ms) if named.pts_ms is not None else _second(named.second or 0)
    times = lookup.times(cursor, named.video_id, project_id, *span)
    if not times.within:
        raise DataMinerError(_not_sampled(named, times))
    return facts_of_picture(cursor, named.video_id, times.within[0], project_id, settings)


def _second(second: int) -> tuple[int, int]:
    return 1000 * second, 1000 * second + 999


def _not_sampled(named: Named, times: lookup.Times) -> str:
    moment = named.pts_ms if named.pts_ms is not None else 1000 * (named.second or 0)
    sides = [pts_ms for pts_ms in (times.before, times.after) if pts_ms is not None]
    near = " and ".join(f"{image_name(named.video_id, pts_ms)} ({at(pts_ms)})" for pts_ms in sides)
    hint = f"nearest: {near}" if near else "it has no picture at all"
    exact = f"{at(moment)}" + (f".{moment % 1000:03d}" if named.pts_ms is not None else "")
    return f"{named.video_id}: no picture was taken at {exact}; {hint}"
