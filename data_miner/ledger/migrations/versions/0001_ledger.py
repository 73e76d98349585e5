"""The ledger as first released; see sql/0001_ledger.sql."""

from data_miner.ledger.migrate import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table of the first release."""
    run_file("0001_ledger.sql")
