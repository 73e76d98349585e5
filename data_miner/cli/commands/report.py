"""`data-miner report`: what a project kept, dropped and why, as one page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.context import open_ledger, open_store, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.errors import UsageError
from data_miner.ledger.connection import Ledger
from data_miner.store.artifacts import Store

NAME = "report.html"


@click.command()
@around
@with_project
@click.option("--out", metavar="FILE", help="Write here; default DATA/reports/NAME.html.")
@click.option("--open", "is_opened", is_flag=True, help="Show it in the browser.")
@pass_invocation
def report(invocation: Invocation, out: str | None, is_opened: bool) -> None:
    """Write the report of a project: what was kept, dropped and why."""
    from data_miner.report.project import write_report

    settings, name = invocation.settings, invocation.wanted_project()
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, name, settings)
        store, _ = open_store(settings, ledger, create=False)
        path = _target(out, settings.data / "reports" / f"{project.name}.html")
        size_bytes = write_report(ledger, project, store, path)
    click.echo(path.as_uri())
    click.echo(f"data-miner: {words.shown(path)}, {words.size(size_bytes)}", err=True)
    if is_opened:
        click.launch(path.as_uri())


def beside(ledger: Ledger, project: Any, store: Store) -> Callable[[Path, str], object]:
    """Writes the page of a dataset version into its folder, for export.dataset.write_dataset."""
    from data_miner.report.project import write_report

    return lambda folder, version: write_report(ledger, project, store, folder / NAME, version=version, is_dated=False)


def _target(out: str | None, default: Path) -> Path:
    if out is None:
        return default
    path = Path(out).expanduser().resolve()
    if path.is_dir():
        raise UsageError(f"--out {out}: a folder; name a file, such as {Path(out) / default.name}")
    return path
