"""`data-miner run`: its flags, and what is read before any work."""

import time
from contextlib import ExitStack
from typing import Any

import click

from data_miner.cli.context import open_ledger
from data_miner.cli.invocation import Invocation, around, pass_invocation, with_project
from data_miner.cli.mining import Mining
from data_miner.cli.premises import twice
from data_miner.cli.preparation import fetch_models, load, refuse_paused, registration
from data_miner.errors import UsageError
from data_miner.ledger.connection import Ledger
from data_miner.ledger.embedded import EmbeddedPostgres


@click.command()
@click.argument("project_file", metavar="[PROJECT]", required=False)
@click.option(
    "--pipeline",
    default="mine",
    show_default=True,
    help="mine, ingest (download, extract) or annotate (the rest).",
)
@click.option("--source", "sources", multiple=True, metavar="PATH_OR_URL", help="One more source, added for good.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N videos.")
@click.option("--refresh", is_flag=True, help="Ask every source again.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting, e.g. filter.model=null.",
)
@click.option("--device", metavar="DEVICE", help="cpu, or cuda; default: a GPU when there is one.")
@click.option("--cpus", type=int, metavar="N", help="CPUs to use.")
@click.option("--gpus", type=int, metavar="N", help="GPUs to use.")
@click.option("--no-wait", is_flag=True, help="End (exit 6) when only videos that wait for a site are left.")
@click.option("--submit", is_flag=True, help="Submit to the Ray cluster at RAY_ADDRESS=http://… and follow.")
@click.option("--json", "as_json", is_flag=True, help="The final status on stdout, as JSON.")
@with_project
@around
@pass_invocation
def run(invocation: Invocation, /, project_file: str | None, **flags: Any) -> int:
    """Mine a project, or go on where it stopped. Ctrl-C is safe; the same command goes on."""
    if flags["submit"]:
        raise UsageError("--submit is not built yet; set RAY_ADDRESS=host:6379 and run on a node of the cluster")
    import pipelines

    started = time.monotonic()
    settings, pipeline = invocation.settings, pipelines.load(flags["pipeline"])
    wanted = project_file or invocation.wanted_project()
    server = EmbeddedPostgres(settings.postgres) if settings.database_url is None else None
    if server is None or not server.exists:
        load(
            wanted,
            settings,
            flags["overrides"],
            None if server is not None else Ledger(str(settings.database_url)),
        )
    with ExitStack() as stack:
        ledger = twice(server, lambda: stack.enter_context(open_ledger(settings, create=True, server=server)))
        name, config = load(wanted, settings, flags["overrides"], ledger)
        refuse_paused(name, ledger)
        fetch_models(config, pipeline, settings, invocation.verbosity < 0)
        own = registration(
            name,
            config,
            pipeline,
            settings,
            added=flags["sources"],
            video_limit=flags["limit"],
            is_refreshed=flags["refresh"],
        )
        mining = Mining(invocation, settings, pipeline, ledger, server, flags, started)
        return mining.run(own, config)
