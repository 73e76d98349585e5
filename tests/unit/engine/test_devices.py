"""What a machine computes on: flags, drivers, shares, Ray addresses."""

from pathlib import Path

import pytest

from data_miner.engine import devices
from data_miner.engine.address import checked_address
from data_miner.engine.cluster import checked_share
from data_miner.engine.devices import Card, machine
from data_miner.errors import UsageError

CARDS = (Card("RTX 3060", 12 * 2**30), Card("RTX 3060", 12 * 2**30))


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a driver: no test machine has two cards."""
    monkeypatch.setattr(devices, "cards", lambda: (CARDS, "580.65"))


def test_cpu_means_cpu_whatever_is_there(two_cards: None) -> None:
    assert machine("cpu").cards == ()
    assert machine("cpu").device == "cpu"


def test_a_machine_with_cards_computes_on_them(two_cards: None) -> None:
    assert machine().device == "cuda:0"
    assert len(machine().cards) == 2
    assert len(machine(gpus=1).cards) == 1
    assert machine(gpus=0).device == "cpu"


def test_more_gpus_than_there_are_is_refused(two_cards: None) -> None:
    with pytest.raises(UsageError, match="--gpus 3: 2 are here"):
        machine(gpus=3)


@pytest.mark.parametrize("flags", [{"cpus": 0}, {"cpus": -1}, {"gpus": -1}, {"device": "tpu"}])
def test_nonsense_is_refused(flags: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="--"):
        machine(**flags)  # type: ignore[arg-type]


def test_asking_for_a_gpu_where_none_is_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cards", lambda: ((), ""))
    with pytest.raises(UsageError, match="no GPU"):
        machine("cuda")


def test_a_card_with_too_old_a_driver_stops_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cards", lambda: (CARDS[:1], "550.120"))
    monkeypatch.setattr(devices, "_torch_cuda", lambda: "13.0")
    with pytest.raises(UsageError, match=r"apt install nvidia-driver-580.*--device cpu"):
        machine()
    assert machine("cpu").device == "cpu"


@pytest.mark.parametrize(
    ("driver", "cuda", "is_good"),
    [("580.65", "13.0", True), ("550.120", "13.0", False), ("550.120", "12.8", True), ("580", None, False)],
)
def test_a_driver_is_held_against_torchs_cuda(
    driver: str, cuda: str | None, is_good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_torch_cuda", lambda: cuda)
    assert (devices.driver_problem(driver) is None) == is_good


@pytest.mark.parametrize(
    ("quota", "cpus"), [("max 100000\n", 8), ("150000 100000\n", 1), ("400000 100000\n", 4), ("50000 100000", 1)]
)
def test_a_container_limit_counts(quota: str, cpus: int, tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text(quota)
    assert devices.within_quota(8, limit) == cpus
    assert devices.within_quota(8, tmp_path / "absent") == 8


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1 / 3, 1, 2])
def test_whole_gpus_and_nths_are_shares(share: float) -> None:
    assert checked_share(share) == share


@pytest.mark.parametrize("share", [0.3, 0.4, 0.75, 1.5])
def test_other_shares_are_refused(share: float) -> None:
    with pytest.raises(UsageError, match="1/n"):
        checked_share(share)


@pytest.mark.parametrize(("address", "hint"), [("ray://head:10001", "host:6379"), ("http://head:8265", "--submit")])
def test_addresses_that_cannot_work_are_refused_with_the_right_one(address: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        checked_address(address)


def test_no_address_means_a_ray_of_our_own() -> None:
    assert checked_address("") is checked_address(None) is None
    assert checked_address("head:6379") == "head:6379"
