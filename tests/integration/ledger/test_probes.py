"""Probes of models: one for each pair of model and card, whoever measures first."""

from concurrent.futures import ThreadPoolExecutor

from data_miner.ledger import probes
from data_miner.ledger.connection import Ledger
from data_miner.models.vram import Probe

FIRST, SECOND = Probe(3_500_000_000, 41_000_000, 31.5), Probe(3_600_000_000, 42_000_000, 30.0)


def test_the_first_measurement_of_a_model_on_a_card_stands(database: Ledger) -> None:
    with database.transaction() as cursor:
        assert probes.find(cursor, "sha256:a", "RTX 3060") is None
        assert probes.keep(cursor, "sha256:a", "RTX 3060", FIRST) == FIRST
    with database.transaction() as cursor:
        assert probes.keep(cursor, "sha256:a", "RTX 3060", SECOND) == FIRST
        assert probes.keep(cursor, "sha256:a", "H200", SECOND) == SECOND
        assert probes.keep(cursor, "sha256:b", "RTX 3060", SECOND) == SECOND
    with database.transaction() as cursor:
        assert probes.find(cursor, "sha256:a", "RTX 3060") == FIRST


def test_of_two_that_measure_at_once_the_first_commit_wins(database: Ledger) -> None:
    def late() -> Probe:
        with database.transaction() as cursor:
            return probes.keep(cursor, "sha256:a", "H200", SECOND)

    with ThreadPoolExecutor(1) as pool, database.transaction() as early:
        probes.keep(early, "sha256:a", "H200", FIRST)
        other = pool.submit(late)
        while not early.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
            assert not other.done()
        early.connection.commit()
        assert other.result(30) == FIRST
