"""What a run does before any work: read the project, plan its stages, register it. Seconds, no Ray, no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import data_miner.sample
from data_miner.cli.context import name_of
from data_miner.config.identity import config_hash, difference
from data_miner.config.project import LoadedProject, find_project, load_project, restore, stored
from data_miner.config.schema import ProjectConfig
from data_miner.config.settings import Settings
from data_miner.config.sites import Sites
from data_miner.engine.session import living_followers
from data_miner.errors import ConfigError, DataMinerError, ModelError, UsageError
from data_miner.ledger import projects
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.projects import Registration
from data_miner.sample.home import SampleHome
from data_miner.sources.policy import check_match_filter
from data_miner.sources.specs import sources_of
from data_miner.stages import known
from data_miner.stages.pipeline import Pipeline, plan_project
from data_miner.store.artifacts import Store

_SECTIONS = {"embed": "dedup"}  # of the project file, where a stage has another name
WEIGHTS_OF_THE_SAMPLE = Path(data_miner.sample.__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A project that is registered."""

    name: str
    config: ProjectConfig
    config_hash: str
    project_id: int
    changes: Sequence[str]  # since the configuration it had before
    is_new: bool
    plan: Mapping[str, Any]


def model_folders(settings: Settings) -> tuple[Path, ...]:
    """Where model names are looked for."""
    return settings.models, WEIGHTS_OF_THE_SAMPLE


def missing_models(plan: Mapping[str, Any], settings: Settings) -> ModelError | None:
    """Say in one line which models a plan waits for, and where they are looked for; None: they are here."""
    missing: Mapping[str, Sequence[str]] = plan["missing"]
    if not missing:
        return None
    named = [f"{model} ({_SECTIONS.get(stage, stage)}.model)" for stage, models in missing.items() for model in models]
    names, (verb, them) = " and ".join(named), ("is", "it") if len(named) == 1 else ("are", "them")
    return ModelError(
        f"{names} {verb} not on this machine: `data-miner models pull` fetches {them} where there is a network, or put "
        f"{them} into {settings.models}; the same command goes on from here"
    )


def fetch_models(config: ProjectConfig, pipeline: Pipeline, settings: Settings, is_quiet: bool) -> None:
    """Have the models that this pipeline needs here, as far as their servers let us; what fails is one line each."""
    if "filter" not in pipeline.stages:
        return
    from data_miner.cli import weights

    folders = model_folders(settings)
    plan_project(config, pipeline, folders)  # a path that is not there is an error before anything is fetched
    for error in weights.pull_all(weights.absent(config, folders), folders, weights.meter(is_quiet)).failed.values():
        click.echo(f"models     {error}", err=True)


def keep_known(config: ProjectConfig, ledger: Ledger, store: Store) -> int:
    """Bring the pictures that are never to be mined again to the store; returns how many. Raises ConfigError."""
    folders = [Path(folder) for folder in config.dedup.against]
    return known.keep(ledger, store, folders) if folders else 0


def load(name: str, settings: Settings, overrides: Sequence[str], ledger: Ledger | None) -> tuple[str, ProjectConfig]:
    """Read a project from its file, or from the ledger when it has none here. Raises ConfigError, UsageError."""
    if find_project(name, settings) is None and ledger is not None and not overrides:
        with ledger.transaction() as cursor:
            row = projects.find(cursor, name_of(name))
        if row is not None:
            return row.name, restore(row.config, row.name)
    loaded: LoadedProject = load_project(name, settings, overrides)
    _check(loaded)
    return loaded.name, loaded.config


def refuse_paused(name: str, ledger: Ledger) -> None:
    """Raise DataMinerError when the project was told to rest: a run would only look on."""
    with ledger.transaction() as cursor:
        row = projects.find(cursor, name)
    if row is not None and row.is_paused:
        raise paused(name)


def paused(name: str) -> DataMinerError:
    """Say in one line why nothing is done, and what changes that."""
    return DataMinerError(f"{name} is paused; data-miner resume {name}")


def registration(
    name: str,
    config: ProjectConfig,
    pipeline: Pipeline,
    settings: Settings,
    *,
    added: Sequence[str] = (),
    video_limit: int | None = None,
    is_refreshed: bool = False,
) -> Registration:
    """Plan a project's stages and list its sources. Raises ModelError, UsageError."""
    plan = plan_project(config, pipeline, model_folders(settings))
    feed = None
    if config.sources.sample:
        home = SampleHome(settings.sample)
        feed = home.feed_url
        # The sample's own site is meant, so it need not be allowed by name.
        plan["download"]["params"]["allow_hosts"].append(home.address)
    return Registration(
        name=name,
        config=stored(config),
        config_hash=config_hash(config),
        plan=plan,
        sources=sources_of(config, added, feed),
        video_limit=video_limit,
        is_refreshed=is_refreshed,
    )


def register(cursor: Cursor, wanted: Registration, config: ProjectConfig, paces: Sites) -> Prepared:
    """Register, unless a living run follows the project under another configuration: UsageError."""
    before = projects.find(cursor, wanted.name)
    changes: list[str] = []
    if before is not None:
        changes = difference(restore(before.config, wanted.name), config)
        others = living_followers(cursor, before.id)
        if changes and others:
            raise UsageError(
                f"{wanted.name} is being mined by process {others[0].pid} with another configuration: "
                f"{'; '.join(changes)}. Wait for it or stop it (Ctrl-C is safe)"
            )
    project_id, _ = projects.register(cursor, wanted, paces)
    return Prepared(wanted.name, config, wanted.config_hash, project_id, changes, before is None, wanted.plan)


def _check(loaded: LoadedProject) -> None:
    if loaded.config.download.match_filters:
        check_match_filter(loaded.config.download.match_filters)
    sources = loaded.config.sources
    named = (sources.search.queries, sources.urls, sources.batch_file, sources.folder, sources.sample)
    if not loaded.config.detect.detectors and not any(named):
        raise ConfigError(f"{loaded.path}: sources: none named, and no detect.model either; is this the right file?")
