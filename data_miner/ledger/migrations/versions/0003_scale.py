"""How many actors a person wants of a stage; what only paused projects want rests."""

from data_miner.ledger.migrate import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the bounds, and the trigger that lays a paused project's work to rest."""
    run_file("0003_scale.sql")
