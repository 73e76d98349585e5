"""`data-miner sites`: who is asked, how fast, and who has shut us out since when and why."""

import json
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.context import NothingYetError, open_ledger
from data_miner.cli.invocation import Invocation, around, pass_invocation
from data_miner.ledger import sites as ledger_sites

_HEAD = ("site", "state", "since", "why", "next try", "today", "waiting", "pace")


@click.command()
@around
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@pass_invocation
def sites(invocation: Invocation, as_json: bool) -> None:
    """Show each site's pace and whether it lets us in."""
    rows, why = list[Any](), "no site was asked yet"
    try:
        with open_ledger(invocation.settings, create=False) as ledger, ledger.transaction() as cursor:
            rows = ledger_sites.overview(cursor)
    except NothingYetError as nothing:
        why = str(nothing)
    if as_json:
        click.echo(json.dumps([_entry(row) for row in rows], indent=2, ensure_ascii=False))
    elif rows:
        click.echo("\n".join(words.table(_HEAD, map(_line, rows))))
    else:
        click.echo(f"data-miner: {why}", err=True)


def _entry(row: Any) -> dict[str, Any]:
    return {
        "site": row.name,
        "state": row.state,
        "since": row.since.isoformat() if row.since else None,
        "reason": row.reason,
        "detail": row.detail,
        "next_try": row.next_try.isoformat() if row.next_try and row.state != "open" else None,
        "today": row.today,
        "blocked": row.blocked,
        "sleep_interval": row.sleep_interval,
        "max_sleep_interval": row.max_sleep_interval,
        "max_downloads": row.max_downloads,
    }


def _line(row: Any) -> list[Any]:
    is_open = row.state == "open"
    why = ": ".join(filter(None, (row.reason, (row.detail or "")[:80]))) if not is_open else None
    since, next_try = (None, None) if is_open else (words.clock(row.since), words.clock(row.next_try))
    return [row.name, row.state, since, why, next_try, row.today, row.blocked, pace(row)]


def pace(row: Any) -> str:
    """`one per 20 to 40 s`, as sites.yaml and the site's own slowing make it."""
    if row.max_sleep_interval <= 0:
        return "as fast as it goes"
    low, high = words.number(row.sleep_interval), words.number(row.max_sleep_interval)
    a_day = f", {words.number(row.max_downloads)} a day" if row.max_downloads else ""
    return f"one per {low if low == high else f'{low} to {high}'} s{a_day}"
