"""`data-miner scale`: how many actors a person wants of a stage; the supervisor obeys within seconds."""

import difflib
import json
import re
from collections.abc import Sequence

import click

from data_miner.cli import words
from data_miner.cli.context import open_ledger
from data_miner.cli.invocation import Invocation, around, pass_invocation
from data_miner.errors import UsageError
from data_miner.ledger import bell, supervision

STAGES = ("download", "extract", "filter", "embed", "dedup", "detect")  # those that have a pool
MOST = 10_000  # beyond it nobody means it
_BOUND = re.compile(r"(\d+)(?:\.\.(\d+))?", re.ASCII)


@click.command()
@click.argument("bounds", nargs=-1, metavar="[STAGE=N|A..B|auto]...")
@click.option("--json", "as_json", is_flag=True, help="The bounds as JSON on stdout.")
@around
@pass_invocation
def scale(invocation: Invocation, bounds: Sequence[str], as_json: bool) -> None:
    """Set how many actors a stage may have, while it has work: `detect=4`, `detect=1..6`, `detect=auto`.

    Without a word, show what was set. More than the CPUs and GPUs hold is not started: `status --scaling` says so.
    """
    wanted = dict(map(_read, bounds))
    with open_ledger(invocation.settings, create=False) as ledger, ledger.transaction() as cursor:
        for stage, bound in wanted.items():
            if bound is None:
                supervision.drop_bound(cursor, stage)
            else:
                supervision.set_bound(cursor, stage, *bound)
        if wanted:
            bell.ring(cursor)
        found = supervision.bounds(cursor)
    if as_json:
        told = [{"stage": stage, "least": least, "most": most} for stage, (least, most) in found.items()]
        click.echo(json.dumps(told, indent=2))
        return
    rows = [[stage, *(found.get(stage) or ("auto", "auto"))] for stage in STAGES]
    click.echo("\n".join(words.table(("stage", "least", "most"), rows)))


def _read(text: str) -> tuple[str, tuple[int, int] | None]:
    """`detect=4`, `detect=1..6` or `detect=auto` (None). Raises UsageError."""
    stage, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text}: say how many, e.g. {_nearest(stage) or 'detect'}=4 or =auto")
    if stage not in STAGES:
        near = _nearest(stage)
        raise UsageError(f"no stage {stage!r}; {f'did you mean {near}?' if near else 'stages: ' + ', '.join(STAGES)}")
    if value == "auto":
        return stage, None
    match = _BOUND.fullmatch(value)
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
    if not 0 <= least <= most <= MOST:
        raise UsageError(f"{text}: a number of actors from 0 to {MOST}, a range as 1..6, or auto")
    return stage, (least, most)


def _nearest(stage: str) -> str | None:
    if stage == "expand":
        return "download"  # whose pool asks the sources
    return next(iter(difflib.get_close_matches(stage, STAGES, 1)), None)
