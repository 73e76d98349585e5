"""Measured cost and the batch that fits, on a card of known size; batches that are halved when it is full."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_miner.errors import ModelError, SmallerError
from data_miner.models.base import Rgb
from data_miner.models.batching import halving
from data_miner.models.vram import Probe, batch_for, measure

PICTURES = [np.zeros((4, 4, 3), np.uint8)] * 9


class Card:
    """A card whose memory is counted: what torch's allocator tells, without a GPU."""

    device = "Counted 1000"

    def __init__(self, total_bytes: int = 1000) -> None:
        self.total_bytes, self.used, self.peak = total_bytes, 0, 0

    def take(self, size_bytes: int) -> None:
        """Allocate, or give up as CUDA does."""
        if self.used + size_bytes > self.total_bytes:
            raise SmallerError("out_of_memory", f"tried to allocate {size_bytes}")
        self.used += size_bytes
        self.peak = max(self.peak, self.used)

    def free_bytes(self) -> int:
        return self.total_bytes - self.used

    def used_bytes(self) -> int:
        return self.used

    def peak_bytes(self) -> int:
        return self.peak

    def reset_peak(self) -> None:
        self.peak = self.used


@dataclass
class Network:
    """Takes memory for its weights, its work space and each picture."""

    card: Card
    weights: int = 300
    work_space: int = 40
    picture: int = 25
    warm_up: int = 0  # once, as when cuDNN tries its algorithms

    def __post_init__(self) -> None:
        self.card.take(self.weights)

    def embed(self, rgb: Sequence[Rgb]) -> list[int]:
        size, self.warm_up = self.work_space + self.picture * len(rgb) + self.warm_up, 0
        self.card.take(size)
        self.card.used -= size
        return [len(rgb)] * len(rgb)

    def close(self) -> None:
        self.card.used -= self.weights


def test_the_slope_is_the_cost_of_a_picture_and_the_rest_is_the_model() -> None:
    card = Card()
    card.take(100)  # another model of this process
    probe = measure(lambda: Network(card, warm_up=200), Network.embed, PICTURES, card)
    assert (probe.load_bytes, probe.bytes_per_image) == (340, 25)
    assert probe.images_per_second > 0
    assert card.used == 100


@pytest.mark.parametrize("picture", [0, 1, 7, 25, 61])
def test_the_batch_that_is_said_to_fit_fits_and_one_more_does_not(picture: int) -> None:
    card = Card()
    probe = measure(lambda: Network(card, picture=picture), Network.embed, PICTURES, card)
    batch = batch_for(probe, card.free_bytes(), 2000, headroom=0)
    network = Network(card, picture=picture)
    network.embed([PICTURES[0]] * batch)
    if batch < 2000 and picture:
        with pytest.raises(SmallerError):
            network.embed([PICTURES[0]] * (batch + 1))


def test_a_model_that_does_not_fit_is_closed_and_says_so() -> None:
    card = Card(400)
    with pytest.raises(SmallerError, match="out_of_memory"):
        measure(lambda: Network(card), Network.embed, PICTURES, card)
    assert card.used == 0
    with pytest.raises(ValueError, match="two at least"):
        measure(lambda: Network(card), Network.embed, PICTURES[:1], card)


@given(
    st.builds(Probe, st.integers(0, 2**36), st.integers(0, 2**30), st.just(1.0)),
    st.integers(0, 2**38),
    st.integers(1, 512),
    st.sampled_from([0.0, 0.1, 0.5]),
)
def test_a_batch_leaves_the_headroom_and_is_never_nothing(
    probe: Probe, free_bytes: int, wanted: int, headroom: float
) -> None:
    batch = batch_for(probe, free_bytes, wanted, headroom)
    assert 1 <= batch <= wanted
    if batch > 1:
        assert probe.load_bytes + batch * probe.bytes_per_image <= free_bytes * (1 - headroom) + 1


def runs(items: Sequence[int], batch: int, room: int, reason: str = "out_of_memory") -> tuple[list[int], list[int]]:
    """All results and the sizes that were tried, on a device with room for so many."""
    tried: list[int] = []

    def run(part: Sequence[int]) -> list[int]:
        tried.append(len(part))
        if len(part) > room:
            raise SmallerError(reason)
        return [10 * item for item in part]

    results = [result for part, found in halving(items, batch, run) for result in zip(part, found, strict=True)]
    assert [item for item, _ in results] == list(items)[: len(results)]
    return [result for _, result in results], tried


def test_a_full_device_halves_the_batch_for_good_and_leaves_nothing_out() -> None:
    results, tried = runs(range(21), 16, 5)
    assert results == [10 * item for item in range(21)]
    assert tried == [16, 8, 4, 4, 4, 4, 4, 1]
    assert runs(range(3), 16, 2, "model")[1] == [3, 1, 1, 1]
    assert runs([], 16, 1) == ([], [])


def test_what_does_not_fit_alone_fails_with_its_reason() -> None:
    with pytest.raises(SmallerError, match="out_of_memory"):
        runs(range(4), 4, 0)


def test_other_failures_are_not_tried_again() -> None:
    asked = []

    def run(part: Sequence[int]) -> list[int]:
        asked.append(part)
        raise ModelError("gone")

    with pytest.raises(ModelError):
        list(halving(range(4), 4, run))
    assert len(asked) == 1
