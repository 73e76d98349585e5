"""`data-miner config show`: a project's settings after all layers, each with where it comes from."""

import json
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.context import NothingYetError, open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.config.settings import Settings

_Row = tuple[str, Any, str]


@click.group()
@around
def config() -> None:
    """Show a project's settings and where each comes from."""


@config.command()
@around
@with_project
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="As `run --set` would have it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def show(invocation: Invocation, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print each key, its value and its origin: flag, env, file, base, or ledger when there is no file."""
    rows = _rows(invocation.wanted_project(), invocation.settings, overrides)
    if as_json:
        entries = [{"key": key, "value": value, "origin": origin} for key, value, origin in rows]
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    lines = ((key, json.dumps(value, ensure_ascii=False), origin) for key, value, origin in rows)
    click.echo("\n".join(words.table(("key", "value", "from"), lines)))


def _rows(name: str, settings: Settings, overrides: tuple[str, ...]) -> list[_Row]:
    from data_miner.config import project

    path = project.find_project(name, settings)
    if path is None and (stored := _stored(name, settings)) is not None:
        return stored
    loaded = project.load_project(name, settings, overrides)
    return [(key, value, str(origin)) for key, value, origin in project.show(loaded)]


def _stored(name: str, settings: Settings) -> list[_Row] | None:
    """What the ledger keeps of a project whose file is not here; None when it knows none either."""
    from data_miner.config.origins import flatten
    from data_miner.errors import UsageError

    try:
        with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
            values = project_row(cursor, name, settings).config
    except (NothingYetError, UsageError):
        return None
    return [(key, value, "ledger") for key, value in flatten(values, name).items()]
