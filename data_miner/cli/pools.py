"""`status --scaling`: the supervisor's last account of its pools, and a person's bounds."""

import json
from collections.abc import Mapping
from typing import Any

import click

from data_miner.cli import words
from data_miner.cli.context import open_ledger
from data_miner.config.settings import Settings
from data_miner.ledger import supervision
from data_miner.ledger.connection import Cursor

_HEAD = ("pool", "waiting", "running", "now/wanted", "share", "why")
_KEYS = ["name", "stage", "waiting", "running", "actors", "starting", "wanted", "share_cpus", "share_gpus", "why"]


def show(settings: Settings, as_json: bool) -> None:
    """Print why each pool has its size; nobody supervising is said on stderr."""
    with open_ledger(settings, create=False) as ledger, ledger.transaction() as cursor:
        found = scaling_of(cursor)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    by = found["supervisor"]
    if by is None:
        click.echo("data-miner: nobody supervises, so there are no pools; data-miner run -p NAME", err=True)
    elif found["pools"]:
        click.echo("\n".join(words.table(_HEAD, map(_line, found["pools"]))))
    else:
        click.echo(f"data-miner: process {by['pid']} on {by['host']} supervises; no stage has had work", err=True)
    for stage, bound in found["bounds"].items():
        click.echo(f"{stage:<11}{_range(bound)} asked; data-miner scale {stage}=auto takes it back", err=True)


def scaling_of(cursor: Cursor) -> dict[str, Any]:
    """Who supervises (None: nobody), cpus, gpus, pools with waiting, running, actors, wanted, shares, why; bounds."""
    from data_miner.engine.process import host, is_gone

    row = supervision.current(cursor)
    is_dead = row.host == host() and row.pid is not None and is_gone(row.pid, row.pid_started)
    is_led = row.holder is not None and row.is_living and not is_dead
    seen: Mapping[str, Any] = (row.scaling or {}) if is_led else {}
    return {
        "supervisor": {"host": row.host, "pid": row.pid, "dashboard": row.dashboard} if is_led else None,
        "cpus": seen.get("cpus"),
        "gpus": seen.get("gpus"),
        "pools": [{key: pool[key] for key in _KEYS} for pool in seen.get("pools", [])],
        "bounds": {
            stage: {"least": least, "most": most} for stage, (least, most) in supervision.bounds(cursor).items()
        },
    }


def _line(pool: Mapping[str, Any]) -> list[Any]:
    loading = f", {pool['starting']} starting" if pool["starting"] else ""
    actors = f"{pool['actors']}/{pool['wanted']}{loading}"
    return [pool["name"], pool["waiting"], pool["running"], actors, _share(pool), pool["why"]]


def _share(pool: Mapping[str, Any]) -> str:
    gpus = pool["share_gpus"]
    of_gpu = [] if not gpus else [f"{gpus:.0f} gpu" if gpus >= 1 else f"1/{1 / gpus:.0f} gpu"]
    return " · ".join([f"{pool['share_cpus']:.2g} cpu", *of_gpu])


def _range(bound: Mapping[str, int]) -> str:
    least, most = bound["least"], bound["most"]
    return str(least) if least == most else f"{least}..{most}"
