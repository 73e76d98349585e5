"""`data-miner export`: the dataset of what is done, as the next version or as a copy elsewhere."""

import sys
import tarfile
import tempfile
from pathlib import Path

import click

from data_miner.cli.commands.report import beside
from data_miner.cli.context import open_ledger, open_store, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.cli.summary import dataset_line
from data_miner.errors import DataMinerError, UsageError
from data_miner.export.dataset import export_copy, write_dataset
from data_miner.export.versions import FORMATS
from data_miner.ledger import status


@click.command()
@around
@with_project
@click.option("--out", metavar="DIR", help="Write a copy to this new or empty folder; - is a tar on stdout.")
@click.option("--formats", metavar="LIST", help=f"Comma-separated: {', '.join(FORMATS)}; default: the project's.")
@pass_invocation
def export(invocation: Invocation, out: str | None, formats: str | None) -> None:
    """Write the dataset of what is done."""
    settings, name, chosen = invocation.settings, invocation.wanted_project(), _formats(formats)
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, name, settings)
            is_waiting = not status.frames(cursor, project.id)["unique"]
            is_waiting = is_waiting and not status.progress(cursor, project.id).is_settled
        if is_waiting:  # after a rejection or an import all is decided anew: an empty version would be a lie
            raise DataMinerError(
                f"{project.name}: no picture is decided on now; data-miner run -p {project.name} goes on"
            )
        store, _ = open_store(settings, ledger, create=False)
        if out == "-":
            with tempfile.TemporaryDirectory(prefix="data-miner-") as folder:
                written = export_copy(ledger, project, store, Path(folder) / project.name, chosen)
                _send(written.path)
            return
        if out is not None:
            target = Path(out).expanduser().resolve()
            click.echo(dataset_line(export_copy(ledger, project, store, target, chosen)))
            return
        page = beside(ledger, project, store)
        version = write_dataset(ledger, project, store, settings.datasets, chosen, page)
    if version is None:
        raise DataMinerError(f"{project.name} has no image yet; data-miner status -p {project.name} says why")
    click.echo(dataset_line(version) + ("" if version.is_new else ", as it was"))


def _formats(text: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--formats {name}: unknown; there are {', '.join(FORMATS)}")
    return names


def _send(folder: Path) -> None:
    """Write the folder's content as a tar on stdout."""
    if sys.stdout.isatty():
        raise UsageError("--out -: a tar does not belong on a terminal; pipe it into `tar x -C DIR`")
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
