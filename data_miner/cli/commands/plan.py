"""`data-miner plan`: what a run would do, counted in a registration that is rolled back."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import click

import pipelines
from data_miner.cli import weights, words
from data_miner.cli.context import NothingYetError, open_ledger, open_store
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.cli.planning import what_if
from data_miner.cli.planning.intent import Intent
from data_miner.cli.preparation import load, model_folders, registration
from data_miner.config.schema import ProjectConfig
from data_miner.config.settings import Settings
from data_miner.config.sites import load_sites
from data_miner.errors import ModelError
from data_miner.ledger.connection import Ledger
from data_miner.ledger.forecast import Forecast, forecast
from data_miner.sources.specs import sources_of
from data_miner.stages.pipeline import plan_project


@click.command()
@around
@with_project
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="As `run --set` would have it.")
@click.option("--source", "sources", metavar="PATH_OR_URL", multiple=True, help="As `run --source`.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="As `run --limit`.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def plan(
    invocation: Invocation,
    overrides: tuple[str, ...],
    sources: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> None:
    """Show what a run would do, without doing it."""
    settings, wanted = invocation.settings, invocation.wanted_project()
    started, sheet = time.monotonic(), None
    try:
        with open_ledger(settings, create=False) as ledger:
            name, config = load(wanted, settings, overrides, ledger)
            found, missing = _counted(ledger, name, config, settings, sources, limit)
            intent = Intent(name, config, found, load_sites(settings))
            told_s = time.monotonic() - started
            if found.change is not None:
                store, _ = open_store(settings, ledger, create=False)
                sheet = what_if.write_sheet(found.change, ledger, found.before, store, settings, intent.changes)
    except NothingYetError:
        name, config = load(wanted, settings, overrides, None)
        found, missing = _nothing_known(config, sources), _missing_model(config, settings)
        intent = Intent(name, config, found, load_sites(settings))
    absent = weights.absent(config, model_folders(settings))
    if as_json:
        told = {**intent.as_dict(), "weights": absent, "sheet": str(sheet) if sheet else None}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(intent.lines()))
        if absent:
            click.echo(f"weights    {weights.foretold(absent)}")
        if sheet is not None:
            click.echo(f"look       {sheet.as_uri()}   (answered from stored scores in {words.duration(told_s)})")
    if missing is not None:
        raise missing


def _counted(
    ledger: Ledger,
    name: str,
    config: ProjectConfig,
    settings: Settings,
    sources: tuple[str, ...],
    limit: int | None,
) -> tuple[Forecast, ModelError | None]:
    """Count in the ledger; where a model is not here, only what needs none."""
    from data_miner.cli.planning.estimate import fps_of

    folders = model_folders(settings)
    missing = _missing_model(config, settings)
    is_whole = missing is None and not weights.absent(config, folders)
    pipeline = pipelines.load("mine" if is_whole else "ingest")
    countable = config if is_whole else _without_models(config)
    wanted = registration(name, countable, pipeline, settings, added=sources, video_limit=limit)
    store, _ = open_store(settings, ledger, create=False)
    suppose = what_if.Supposition(store)
    found = forecast(ledger, wanted, load_sites(settings), fps_of(config), config.extract.max_frames, suppose)
    if not is_whole:
        found = replace(found, frames=_no_frames(), passed=found.funnel.get("passed", 0))
    return found, missing


def _missing_model(config: ProjectConfig, settings: Settings) -> ModelError | None:
    """A model that no server has: a path where nothing lies, or what cannot play its role."""
    try:
        plan_project(config, pipelines.load("mine"), model_folders(settings))
    except ModelError as error:
        return error
    return None


def _without_models(config: ProjectConfig) -> ProjectConfig:
    sections = {
        name: getattr(config, name).model_copy(update={"model": None}) for name in ("filter", "dedup", "detect")
    }
    sections["detect"] = sections["detect"].model_copy(update={"models": ()})
    return config.model_copy(update=sections)


def _nothing_known(config: ProjectConfig, added: tuple[str, ...]) -> Forecast:
    """Before the first run: sources that nobody asked. The sample's feed has no address yet."""
    feed = "http://127.0.0.1/feed.xml" if config.sources.sample else None
    sources = [
        SimpleNamespace(kind=source.kind, locator=source.locator, is_asked=False)
        for source in sources_of(config, added, feed)
    ]
    none: Any = SimpleNamespace(videos=0, timed=0, seconds=0.0, frames=0.0)
    return Forecast(
        before=None,
        funnel={},
        passed=0,
        skipped={},
        found=0,
        sources=sources,
        downloads=[],
        uncut=none,
        unextracted=none,
        frames=_no_frames(),
        sizes=SimpleNamespace(film_bytes_per_s=None, film_s=None, frame_bytes=None),
        rates={},
    )


def _no_frames() -> Any:
    return SimpleNamespace(to_score=0, to_embed=0, to_embed_passed=0, to_compare=0, to_detect=0)
