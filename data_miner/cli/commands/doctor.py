"""`data-miner doctor`: every check in a line, each failure with a cure; changes nothing."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

import click

from data_miner.cli.checks import machine as machine_checks
from data_miner.cli.checks import service as service_checks
from data_miner.cli.checks import source as source_checks
from data_miner.cli.checks.check import Check, guarded
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.config.schema import ProjectConfig
from data_miner.config.settings import Settings


@click.command()
@around
@with_project
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def doctor(invocation: Invocation, as_json: bool) -> int:
    """Check this machine; changes nothing. Exit code 1 when something fails."""
    settings, config = invocation.settings, _config(invocation)
    found = []
    for name, look in _looks(settings, config):
        found.append(guarded(name, look))
        if not as_json:
            click.echo("\n".join(_lines(found[-1])))
    problems = sum(check.verdict == "FAIL" for check in found)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=2, ensure_ascii=False))
    else:
        count = f"{problems} problem{'s' if problems > 1 else ''}" if problems else "No problem"
        click.echo(f"{count}. Nothing was changed.")
    return 1 if problems else 0


def _looks(settings: Settings, config: ProjectConfig | None) -> Iterator[tuple[str, Callable[[], Check]]]:
    yield "versions", machine_checks.versions
    yield "libraries", machine_checks.libraries
    yield "data", lambda: machine_checks.data(settings)
    yield "disk", lambda: machine_checks.disk(settings)
    yield "postgres", lambda: service_checks.postgres(settings)
    yield "store", lambda: service_checks.store(settings)
    yield "ray", lambda: service_checks.ray(settings)
    yield "gpu", machine_checks.gpu
    yield "vram", machine_checks.vram
    yield "weights", lambda: service_checks.weights(settings, config)
    yield "js", source_checks.javascript
    yield "yt-dlp", source_checks.yt_dlp
    yield "sites", lambda: source_checks.sites(settings)


def _lines(check: Check) -> list[str]:
    lines = [f"{check.verdict:<5} {check.name:<9} {check.text}"]
    return [*lines, f"{'':<15} cure: {check.cure}"] if check.cure else lines


def _config(invocation: Invocation) -> ProjectConfig | None:
    """The project's configuration when one is named; a broken file is the user's to know first."""
    from data_miner.config.project import load_project

    name = invocation.project_or_default()
    return load_project(name, invocation.settings).config if name is not None else None
