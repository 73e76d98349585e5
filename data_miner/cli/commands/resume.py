"""`data-miner resume`: a paused project goes on where it stopped."""

import click

from data_miner.cli.context import open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.engine.session import living_followers
from data_miner.ledger import bell, projects


@click.command()
@click.argument("name", required=False)
@with_project
@around
@pass_invocation
def resume(invocation: Invocation, name: str | None) -> None:
    """Let it go on: a paused project has work again, also what came up in between."""
    settings, wanted = invocation.settings, name or invocation.wanted_project()
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, wanted, settings)
        was_paused = ledger.with_retry(
            lambda cursor: projects.resume(cursor, project.id), deadline_s=60, statement_timeout_s=600
        )
        with ledger.transaction() as cursor:
            bell.ring(cursor)
            runs = living_followers(cursor, project.id)
    state = "resumed" if was_paused else "was not paused"
    then = f"process {runs[0].pid} goes on with it" if runs else f"then: data-miner run -p {wanted}"
    click.echo(f"{project.name} {state}; {then}")
