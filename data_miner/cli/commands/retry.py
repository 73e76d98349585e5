"""`data-miner retry`: dead jobs are tried again by the next run."""

from collections import Counter

import click

from data_miner.cli import words
from data_miner.cli.commands.jobs import STAGES
from data_miner.cli.context import open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.ledger.retry import revive


@click.command()
@around
@with_project
@click.option("--stage", type=click.Choice(STAGES), help="Only this stage's.")
@click.option("--reason", metavar="WORD", help="Only those that died of this.")
@pass_invocation
def retry(invocation: Invocation, stage: str | None, reason: str | None) -> None:
    """Let dead jobs be tried again."""
    settings, name = invocation.settings, invocation.wanted_project()
    with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
        project = project_row(cursor, name, settings)
        revived = revive(cursor, project.id, stage, reason)
    if not revived:
        click.echo(f"data-miner: {project.name} has no such dead job", err=True)
        return
    by_stage: dict[str, Counter[str]] = {}
    for (of_stage, word), n in revived.items():
        by_stage.setdefault(of_stage, Counter())[word] += n
    told = " | ".join(f"{of_stage} {words.reasons(counted)}" for of_stage, counted in by_stage.items())
    total = sum(revived.values())
    click.echo(f"{total} job{'s' if total > 1 else ''} will be tried again: {told}. Then: data-miner run -p {name}")
