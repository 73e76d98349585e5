"""`data-miner projects`: which there are, as files and in the ledger, and how one is forgotten."""

import json
import sys
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.context import NothingYetError, open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation
from data_miner.cli.overview import HEAD, overview, overview_row
from data_miner.errors import UsageError
from data_miner.ledger import projects as ledger_projects
from data_miner.ledger import status


@click.group(invoke_without_command=True)
@around
@click.pass_context
def projects(context: click.Context) -> None:
    """List or delete projects; without a word, list."""
    if context.invoked_subcommand is None:
        context.invoke(list_all, as_json=False)


@projects.command("list")
@around
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def list_all(invocation: Invocation, as_json: bool) -> None:
    """List projects: those that were mined, and files that wait to be."""
    from data_miner.config.project import list_projects

    settings, files = invocation.settings, list_projects(invocation.settings)
    entries: list[dict[str, Any]] = []
    try:
        with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
            entries = overview(cursor, settings)
    except NothingYetError:
        pass  # files alone, then
    mined = {entry["project"] for entry in entries}
    entries += [_new(name) for name in files if name not in mined]
    for entry in entries:
        path = files.get(entry["project"])
        entry["file"] = str(path) if path else None
    entries.sort(key=lambda entry: entry["project"])
    if as_json:
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    rows = ([*overview_row(entry), words.shown(entry["file"]) if entry["file"] else None] for entry in entries)
    click.echo("\n".join(words.table((*HEAD, "file"), rows)))


@projects.command()
@around
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def delete(invocation: Invocation, name: str, yes: bool) -> None:
    """Forget a project; videos, frames and boxes stay for others, its datasets stay on disk."""
    from data_miner.engine.session import living_followers

    settings = invocation.settings
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, name, settings)
            found = status.videos(cursor, project.id)["found"]
        if not yes:
            _ask(project.name, found)
        # Asked again: a run may have begun while the question stood.
        with ledger.transaction(statement_timeout_s=600) as cursor:
            if others := living_followers(cursor, project.id):
                raise UsageError(f"{name} is being mined by process {others[0].pid}; stop it first (Ctrl-C is safe)")
            ledger_projects.delete(cursor, project.id)
    click.echo(f"{project.name} deleted; datasets stay in {words.shown(settings.datasets / project.name)}")


def _ask(name: str, videos: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"projects delete {name}: add --yes where nobody can be asked")
    question = f"Forget {name}, its {words.number(videos)} videos' verdicts and its place in the order?"
    click.confirm(question, abort=True, err=True)


def _new(name: str) -> dict[str, Any]:
    counts = dict.fromkeys(("found", "mined", "images", "boxes"), 0)
    return {
        "project": name,
        "state": "new",
        "config": None,
        **counts,
        "eta_s": None,
        "why": None,
        "dataset": None,
    }
