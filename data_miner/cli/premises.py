"""What `run` and `engine` open before they work: paces, device, store, logs; also while the database dies."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from data_miner.cli.context import open_store
from data_miner.cli.preparation import model_folders
from data_miner.config.settings import Settings
from data_miner.config.sites import load_sites
from data_miner.engine.address import checked_address
from data_miner.engine.devices import machine
from data_miner.engine.workplace import Workplace
from data_miner.errors import UnreachableError
from data_miner.ledger.connection import Ledger
from data_miner.ledger.embedded import EmbeddedPostgres
from data_miner.observe import logs

T = TypeVar("T")

PATIENCE_S = 120.0  # with a database that went away before or after the work


def twice(server: EmbeddedPostgres | None, act: Callable[[], T]) -> T:
    """Once more when an embedded server was killed while the run opened its places."""
    try:
        return act()
    except UnreachableError:
        if server is None:
            raise
        server.ensure()
        return act()


def surely(server: EmbeddedPostgres | None, act: Callable[[], T]) -> T:
    """Through the death of the database under a living process: all that is done here may be done twice."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
            if server is not None:
                server.ensure()
            else:
                time.sleep(1.0)


def open_place(
    command: str,
    settings: Settings,
    ledger: Ledger,
    server: EmbeddedPostgres | None,
    flags: Mapping[str, Any],
    verbosity: int,
) -> Workplace:
    """Open all that an engine works in, by the flags --device, --cpus and --gpus. UsageError, UnreachableError."""
    paces = load_sites(settings)
    checked_address(settings.ray_address)
    device = machine(flags["device"], flags["cpus"], flags["gpus"])
    store, store_id = twice(server, lambda: open_store(settings, ledger, create=True))
    settings.scratch.mkdir(parents=True, exist_ok=True)
    logs.setup(command, settings.logs, verbosity=verbosity, loki_url=settings.loki_url)
    return Workplace(settings, ledger, store, store_id, device, model_folders(settings), paces)
