"""`data-miner models`: which weights are here, for what, and fetching those a project needs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.inventory import Entry, inventory
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.config.schema import ProjectConfig
from data_miner.config.settings import Settings
from data_miner.errors import ConfigError

_HEAD = ("name", "kind", "for", "size", "revision", "where", "wanted by")
_SHORT = 12


@click.group(invoke_without_command=True)
@around
@click.pass_context
def models(context: click.Context) -> None:
    """List models, or fetch a project's weights. Without a word, list.

    Names are Hugging Face's (google/siglip2-so400m-patch14-384) or Ultralytics' (yolo11n.pt). They are looked for
    in the models folder of the data folder, then in your own Hugging Face cache. HF_TOKEN, HF_HUB_OFFLINE,
    HF_ENDPOINT, HF_HOME and HF_HUB_CACHE mean what they always do.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_all, as_json=False)


@models.command("list")
@around
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def list_all(invocation: Invocation, as_json: bool) -> None:
    """List the models on this machine, and those that projects here want."""
    entries = inventory(_folders(invocation.settings), _wanted_by(invocation.settings))
    if as_json:
        click.echo(json.dumps([entry.shown() for entry in entries], indent=2, ensure_ascii=False))
    elif entries:
        click.echo("\n".join(words.table(_HEAD, map(_row, entries))))
        _say_what_is_amiss(entries)
    else:
        click.echo("data-miner: no models here and none wanted; data-miner models pull NAME fetches one", err=True)


@models.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@with_project
@around
@pass_invocation
def pull(invocation: Invocation, names: Sequence[str]) -> int:
    """Fetch models by name, or all that a project needs (-p).

    What is whole in the Hugging Face cache is used from there; the rest comes into the models folder. Every file
    is verified; a model is there whole or not at all. An interrupted pull goes on where it was.
    """
    from data_miner.cli import weights

    folders = _folders(invocation.settings)
    asked = list(dict.fromkeys(names)) or list(weights.wanted(_config(invocation), folders))
    pulled = weights.pull_all(asked, folders, weights.meter(invocation.verbosity < 0))
    for error in pulled.failed.values():
        click.echo(f"data-miner: {error}", err=True)
    for name in pulled.fetched:
        click.echo(f"{name}: here, in {words.shown(pulled.here[name].path)}")
    if not pulled.failed and not pulled.fetched:
        click.echo(f"all here: {', '.join(asked) or 'the project needs no model'}")
    return 1 if pulled.failed else 0


def _config(invocation: Invocation) -> ProjectConfig:
    from data_miner.config.project import load_project

    return load_project(invocation.wanted_project(), invocation.settings).config


def _folders(settings: Settings) -> tuple[Path, ...]:
    from data_miner.cli.preparation import model_folders

    return model_folders(settings)


def _wanted_by(settings: Settings) -> dict[str, list[str]]:
    """Model -> projects, of the project files that can be read."""
    from data_miner.cli.weights import wanted
    from data_miner.config.project import list_projects, load_project

    found: dict[str, list[str]] = {}
    for project in list_projects(settings):
        try:
            config = load_project(project, settings).config
        except ConfigError as error:
            click.echo(f"data-miner: {error}", err=True)
            continue
        for name in wanted(config, _folders(settings)):
            found.setdefault(name, []).append(project)
    return found


def _say_what_is_amiss(entries: Sequence[Entry]) -> None:
    for entry in entries:
        if entry.state == "damaged":
            click.echo(f"data-miner: {entry.fault}", err=True)
    missing = [entry.name for entry in entries if entry.state == "missing"]
    if missing:
        click.echo(f"data-miner: not here: {', '.join(missing)}; data-miner models pull NAME… or -p PROJECT", err=True)


def _row(entry: Entry) -> list[Any]:
    digest = entry.digest.rpartition("@")[2].removeprefix("sha256:")[:_SHORT] if entry.digest else None
    size = words.size(entry.size_bytes) if entry.size_bytes else None
    where = {"missing": "not here", "damaged": "damaged"}
    place = where.get(entry.state) or words.shown(entry.path or "")
    return [entry.name, entry.kind, entry.role, size, digest, place, " ".join(entry.wanted_by)]
