"""`data-miner status`: one project's funnel, a line for each project, or why pools have their sizes."""

import json
from typing import Any

import click

from data_miner.cli import pools, words
from data_miner.cli.context import NothingYetError, open_ledger, project_row
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.cli.overview import HEAD, overview, overview_row
from data_miner.cli.standing import status_of
from data_miner.cli.summary import summary_lines
from data_miner.config.settings import Settings
from data_miner.ledger import status as ledger_status
from data_miner.ledger.connection import Cursor


@click.command()
@around
@with_project
@click.option("--scaling", "is_of_pools", is_flag=True, help="Which workers there are, how many should be, and why.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON on stdout.")
@pass_invocation
def status(invocation: Invocation, is_of_pools: bool, as_json: bool) -> None:
    """Show how far projects are and what was dropped."""
    settings, name = invocation.settings, invocation.project_or_default()
    if is_of_pools:
        pools.show(settings, as_json)
        return
    try:
        with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
            lines = _one(cursor, name, settings, as_json) if name else _all(cursor, settings, as_json)
    except NothingYetError as nothing:
        if name is not None:
            raise
        click.echo(f"data-miner: {nothing}", err=True)
        lines = ["[]"] if as_json else []
    for line in lines:
        click.echo(line)


def stage_table(found: dict[str, Any]) -> list[str]:
    """Videos by stage and state, from `status_of`'s dict; the count of skipped ones stands at download."""
    rows = [
        [
            stage,
            *(states[name] for name in ("waiting", "running", "done")),
            found["videos"]["skipped"] if stage == "download" else None,
            *(states[name] for name in ("dead", "blocked")),
        ]
        for stage, states in found["stages"].items()
    ]
    return words.table(["videos", "waiting", "running", "done", "skipped", "dead", "blocked"], rows)


def _one(cursor: Cursor, name: str, settings: Settings, as_json: bool) -> list[str]:
    project = project_row(cursor, name, settings)
    found = status_of(cursor, project, settings)
    if as_json:
        return [json.dumps(found, indent=2, ensure_ascii=False)]
    eta = f" · about {words.duration(found['eta_s'])} left" if found["eta_s"] is not None else ""
    missing = project.plan.get("missing") or {}
    disk = " · ".join(f"{kind} {words.size(n)}" for kind, n in found["disk_bytes"].items() if n)
    return [
        f"{project.name} · {found['state']} · config {found['config'][:6]}{eta}",
        *stage_table(found),
        *(f"{stage:<11}waits for {model}, which is not on this machine" for stage, model in missing.items()),
        *summary_lines(found, yields=ledger_status.yields(cursor, project.name))[1:],
        f"{'disk':<11}{disk}",
    ]


def _all(cursor: Cursor, settings: Settings, as_json: bool) -> list[str]:
    rows = overview(cursor, settings)
    if as_json:
        return [json.dumps(rows, indent=2, ensure_ascii=False)]
    return words.table(HEAD, map(overview_row, rows))
