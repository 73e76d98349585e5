"""`data-miner pause`: a project rests until `resume`; what is in process ends, nothing new begins."""

import click

from data_miner.cli import words
from data_miner.cli.context import open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.ledger import bell, projects, status


@click.command()
@click.argument("name", required=False)
@with_project
@around
@pass_invocation
def pause(invocation: Invocation, name: str | None) -> None:
    """Let a project rest. Jobs in process are finished; what other projects want goes on."""
    settings, wanted = invocation.settings, name or invocation.wanted_project()
    with open_ledger(settings, create=False) as ledger:
        with ledger.transaction() as cursor:
            project = project_row(cursor, wanted, settings)
        has_begun = ledger.with_retry(
            lambda cursor: projects.pause(cursor, project.id), deadline_s=60, statement_timeout_s=600
        )
        with ledger.transaction() as cursor:
            bell.ring(cursor)
            left = status.progress(cursor, project.id).outstanding
    state = "paused" if has_begun else "was paused already"
    rest = f"{words.number(left)} job{'' if left == 1 else 's'} left"
    click.echo(f"{project.name} {state}: {rest}; data-miner resume {project.name}")
