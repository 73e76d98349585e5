"""`data-miner jobs`: what workers do and what went wrong, for a person who looks closer than `status`."""

import json
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.context import open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.errors import UsageError
from data_miner.ledger import listing

STAGES = ("expand", "download", "extract", "filter", "embed", "dedup", "detect")
STATES = ("waiting", "running", "done", "dead", "blocked", "superseded")
_HEAD = ("job", "stage", "state", "subject", "tries", "reason", "since", "detail")
_DETAIL = 60  # characters in a table; `jobs show` has it all


@click.group(invoke_without_command=True)
@around
@with_project
@click.option("--dead", "state", flag_value="dead", help="Only those that went wrong.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--stage", type=click.Choice(STAGES), help="Only this stage's.")
@click.option("--reason", metavar="WORD", help="Only those with this reason.")
@click.option("--by", type=click.Choice(["reason"]), help="Count instead of listing.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.pass_context
def jobs(context: click.Context, /, **chosen: Any) -> None:
    """List jobs, show one, count failures."""
    if context.invoked_subcommand is not None:
        return
    invocation = context.ensure_object(Invocation)
    settings, name = invocation.settings, invocation.project_or_default()
    with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
        project_id = project_row(cursor, name, settings).id if name else None
        choice = listing.Choice(project_id, chosen["state"], chosen["stage"], chosen["reason"])
        rows = listing.counts(cursor, choice) if chosen["by"] else listing.jobs(cursor, choice, chosen["limit"])
    if chosen["as_json"]:
        click.echo(_json([row._asdict() for row in rows]))
    elif not rows:
        click.echo("data-miner: no such job", err=True)
    else:
        click.echo("\n".join(_counted(rows) if chosen["by"] else _listed(rows)))


@jobs.command()
@around
@click.argument("job_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def show(invocation: Invocation, job_id: int, as_json: bool) -> None:
    """Show one job, what it is about and what happened to it."""
    with open_ledger(invocation.settings, create=False) as ledger, ledger.transaction() as cursor:
        found = listing.job(cursor, job_id)
    if found is None:
        raise UsageError(f"no job {job_id}; `data-miner jobs` lists them")
    row, events = found
    if as_json:
        click.echo(_json({**row._asdict(), "events": [event._asdict() for event in events]}))
        return
    for name, value in row._asdict().items():
        if value not in (None, ""):
            click.echo(f"{name:<12}{_moment(value)}")
    for event in events:
        told = " ".join(filter(None, (event.reason, event.detail)))
        click.echo(f"{_moment(event.at):<12}attempt {event.attempt}: {event.event} {told}".rstrip())


def _listed(rows: list[Any]) -> list[str]:
    return words.table(_HEAD, map(_line, rows))


def _line(row: Any) -> list[Any]:
    subject = f"{row.subject} {words.duration(row.start_ms / 1000)}" if row.start_ms else row.subject
    detail = (row.detail or "")[:_DETAIL]
    return [
        row.id,
        row.stage,
        row.state,
        subject,
        row.attempt,
        row.reason,
        words.clock(row.changed_at),
        detail,
    ]


def _counted(rows: list[Any]) -> list[str]:
    lines = ([row.stage, row.state, row.reason, row.n, row.example] for row in rows)
    return words.table(("stage", "state", "reason", "jobs", "example"), lines)


def _moment(value: Any) -> str:
    return words.clock(value) if hasattr(value, "astimezone") else " ".join(str(value).split())


def _json(value: Any) -> str:
    return json.dumps(
        value,
        indent=2,
        ensure_ascii=False,
        default=lambda other: getattr(other, "isoformat", other.__str__)(),
    )
