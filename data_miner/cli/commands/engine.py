"""`data-miner engine`: its flags, and what is opened before any work."""

from contextlib import ExitStack
from typing import Any

import click

from data_miner.cli.context import open_ledger
from data_miner.cli.invocation import Invocation, around, pass_invocation
from data_miner.cli.premises import open_place, twice
from data_miner.cli.supervising import Supervising
from data_miner.engine.address import checked_address
from data_miner.ledger.embedded import EmbeddedPostgres


@click.command()
@click.option("--device", metavar="DEVICE", help="cpu, or cuda; default: a GPU when there is one.")
@click.option("--cpus", type=int, metavar="N", help="CPUs to use.")
@click.option("--gpus", type=int, metavar="N", help="GPUs to use.")
@around
@pass_invocation
def engine(invocation: Invocation, /, **flags: Any) -> int:
    """Supervise all projects as a service. `run` registers its project and follows; a second engine stands by."""
    import pipelines

    settings, pipeline = invocation.settings, pipelines.load("mine")
    checked_address(settings.ray_address)  # before a server is started for nothing
    server = EmbeddedPostgres(settings.postgres) if settings.database_url is None else None
    with ExitStack() as stack:
        ledger = twice(server, lambda: stack.enter_context(open_ledger(settings, create=True, server=server)))
        place = open_place("engine", settings, ledger, server, flags, invocation.verbosity)
        return Supervising(place, pipeline, server, invocation.verbosity < 0).run()
