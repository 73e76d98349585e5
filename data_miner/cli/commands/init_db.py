"""`data-miner init-db`: the one command that changes a database's schema on request."""

import click

from data_miner.cli.context import open_ledger
from data_miner.cli.invocation import Invocation, around, pass_invocation
from data_miner.ledger import migrate
from data_miner.ledger.connection import Ledger


@click.command("init-db")
@around
@pass_invocation
def init_db(invocation: Invocation) -> None:
    """Bring the database to this version's schema."""
    settings = invocation.settings
    if settings.database_url is not None:
        ledger = Ledger(settings.database_url)
        click.echo(f"{ledger.place}: {_upgraded(ledger)}")
        return
    with open_ledger(settings, create=True):
        click.echo(f"{settings.postgres}: schema {migrate.code_version()}, embedded")


def _upgraded(ledger: Ledger) -> str:
    before = migrate.current(ledger)
    after = migrate.upgrade(ledger)
    return f"schema {after}, as it was" if before == after else f"schema {before or 'none'} → {after}"
