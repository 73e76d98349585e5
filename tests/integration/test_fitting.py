"""The batch that fits a device: measured once for each model and kind of card, by a device that counts its bytes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from data_miner.config.sites import UNPACED, Sites
from data_miner.errors import SmallerError
from data_miner.ledger.connection import Ledger
from data_miner.models.base import Rgb
from data_miner.stages.base import Node
from data_miner.stages.fitting import fitting_batch
from data_miner.store.artifacts import Store
from tests.support.postgres import Server

LOAD, EACH = 1_000_000, 50_000


class Card:
    """A card of so many bytes, and the meter on it."""

    device = "Counted 1000"

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes, self.used, self.peak, self.opened = size_bytes, 0, 0, 0

    def free_bytes(self) -> int:
        return self.size_bytes - self.used

    def used_bytes(self) -> int:
        return self.used

    def peak_bytes(self) -> int:
        return self.peak

    def reset_peak(self) -> None:
        self.peak = self.used

    def open(self, batch: int) -> "Loaded":
        self.opened += 1
        return Loaded(self)


class Loaded:
    """A model on it."""

    def __init__(self, card: Card) -> None:
        self._card = card
        card.used += LOAD

    def look(self, rgb: Sequence[Rgb]) -> None:
        needed = self._card.used + EACH * len(rgb)
        if needed > self._card.size_bytes:
            raise SmallerError("out_of_memory", "model")
        self._card.peak = max(self._card.peak, needed)

    def close(self) -> None:
        self._card.used -= LOAD


@pytest.fixture
def node(postgres_server: Server, tmp_path: Path) -> Iterator[Node]:
    ledger: Ledger = postgres_server.create_migrated()
    yield Node(ledger, Store(str(tmp_path)), tmp_path, (), Sites(UNPACED))
    postgres_server.drop(ledger)


def _batch(node: Node, card: Card | None, wanted: int = 64, name: str = "sha256:a") -> int:
    made = card or Card(0)
    return fitting_batch(node, name, wanted, made.open, lambda model, rgb: model.look(rgb), (8, 8), card)


def test_the_batch_is_what_fits_and_never_more_than_was_asked_for(node: Node) -> None:
    assert _batch(node, Card(10_000_000)) == 64
    assert _batch(node, Card(2_000_000)) == (1_800_000 - LOAD) // EACH == 16
    assert _batch(node, Card(1_000_000)) == 1  # not even the model: the first picture will say so


def test_a_model_is_measured_once_on_a_kind_of_card(node: Node) -> None:
    first, second, other = Card(4_000_000), Card(2_000_000), Card(4_000_000)
    _batch(node, first)
    assert (_batch(node, second), first.opened, second.opened) == (16, 1, 0)
    other.device = "Counted 2000"
    _batch(node, other)
    assert other.opened == 1
    with node.ledger.transaction() as cursor:
        rows = cursor.execute("SELECT device, load_bytes, bytes_per_image FROM model_probe ORDER BY 1").fetchall()
    assert [(r.device, r.load_bytes, r.bytes_per_image) for r in rows] == [
        ("Counted 1000", LOAD, EACH),
        ("Counted 2000", LOAD, EACH),
    ]


def test_where_the_probe_itself_does_not_fit_pictures_go_one_by_one(node: Node) -> None:
    assert _batch(node, Card(LOAD + 2 * EACH)) == 1


def test_on_a_cpu_the_batch_is_what_was_asked_for(node: Node) -> None:
    assert _batch(node, None, wanted=7) == 7
