"""What follows a person's word at once: dedup speaks again, and the command says what is left for the next run."""

import click

from data_miner.cli.context import open_store
from data_miner.config.settings import Settings
from data_miner.config.sites import load_sites
from data_miner.ledger.connection import Ledger

PATIENCE_S = 10.0


def settle(ledger: Ledger, settings: Settings, project: str) -> None:
    """Let what is kept follow the word that was just said."""
    from data_miner.engine.deciding import decide_now

    store, store_id = open_store(settings, ledger, create=False)
    settings.scratch.mkdir(parents=True, exist_ok=True)
    if not decide_now(ledger, store, store_id, settings.scratch, load_sites(settings), PATIENCE_S):
        click.echo(f"data-miner: dedup is not through with it; data-miner run -p {project} goes on", err=True)
