"""Training, in small: what it writes loads as the shipped models do, and says nothing of this machine."""

from pathlib import Path

import pytest

from data_miner.models import registry
from data_miner.sample.train_detector import train_detector
from data_miner.sample.train_scorer import train_scorer


@pytest.fixture(autouse=True)
def _threads_as_before() -> object:
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_trained_detector_loads_and_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    train_detector(tmp_path / "door.pt", epochs=1, count=20)
    written = (tmp_path / "door.pt").read_bytes()
    assert str(tmp_path).encode() not in written and b"/tmp/" not in written and b"/home/" not in written
    detector = registry.open_detector(
        registry.check("door.pt", "detect", [tmp_path]), classes={"glass_door": ["glass door"]}, imgsz=320
    )
    assert detector.digest.startswith("sha256:")


def test_a_trained_scorer_loads_and_scores(tmp_path: Path) -> None:
    train_scorer(tmp_path / "scorer", epochs=1, count=70)
    scorer = registry.open_scorer(registry.check("scorer", "filter", [tmp_path]))
    texts = scorer.embed_texts(["a glass door", "a window"])
    assert scorer.scores(texts[:1], texts).shape == (1, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scorer"]
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (tmp_path / "scorer").iterdir())
