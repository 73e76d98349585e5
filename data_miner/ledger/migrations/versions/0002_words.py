"""What a person said (rejected, labelled, withdrew), known pictures, votes of detectors, probes of models."""

from data_miner.ledger.migrate import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables; verdicts and boxes that are there keep what they said."""
    run_file("0002_words.sql")
