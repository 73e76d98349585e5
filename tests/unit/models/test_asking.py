"""Every detector that is asked in words: the same promises, held by each real architecture with random weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_miner.errors import ModelError
from data_miner.models import registry
from data_miner.models.base import Detector, Rgb
from data_miner.records import Box

Tiny = Callable[[str], Path]
KINDS = ("grounding-dino", "mm-grounding-dino", "owlv2", "owlvit")
CLASSES = {"glass_door": ["glass door", "sliding glass door"], "door_handle": ["Door_Handle", "push"]}
HEIGHT, WIDTH = 90, 160

pytestmark = pytest.mark.parametrize("kind", KINDS)


def opened(folder: Path, **settings: Any) -> Detector:
    defaults: dict[str, Any] = {"classes": CLASSES, "imgsz": 96, "batch": 4, "floor": 0.05}
    return registry.open_detector(registry.check(str(folder), "detect"), **{**defaults, **settings})


@pytest.fixture(scope="module")
def rgb() -> list[Rgb]:
    """Patches of colour: pictures that differ from each other more than noise does."""
    coarse = [np.random.default_rng(k).integers(0, 255, (6, 8, 3), dtype=np.uint8) for k in range(5)]
    return [np.kron(one, np.ones((15, 20, 1), np.uint8)) for one in coarse]


def spread(boxes: list[Box]) -> tuple[float, float]:
    return min(box.score for box in boxes), max(box.score for box in boxes)


def test_boxes_lie_in_the_picture_best_first_under_the_words_asked(tiny: Tiny, kind: str, rgb: list[Rgb]) -> None:
    found = opened(tiny(kind)).detect(rgb)
    assert len(found) == len(rgb) and all(found)
    prompts = {box.prompt for boxes in found for box in boxes}
    assert len(prompts) > 1
    for boxes in found:
        assert [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
        for box in boxes:
            left, top, right, bottom = box.xyxy
            assert 0 <= left < right <= WIDTH and 0 <= top < bottom <= HEIGHT
            assert 0.05 <= box.score <= 1 and box.prompt in CLASSES[box.label]


def test_the_batch_changes_nothing(tiny: Tiny, kind: str, rgb: list[Rgb]) -> None:
    whole = opened(tiny(kind), batch=5).detect(rgb)
    for other in (opened(tiny(kind), batch=2).detect(rgb), [opened(tiny(kind)).detect([one])[0] for one in rgb]):
        for expected, boxes in zip(whole, other, strict=True):
            assert [(box.label, box.prompt) for box in boxes] == [(box.label, box.prompt) for box in expected]
            np.testing.assert_allclose([b.xyxy for b in boxes], [b.xyxy for b in expected], atol=1)
            np.testing.assert_allclose([b.score for b in boxes], [b.score for b in expected], atol=0.01)


def test_floor_and_max_det_take_the_best_and_leave_the_rest(tiny: Tiny, kind: str, rgb: list[Rgb]) -> None:
    everything = opened(tiny(kind), floor=0.0, iou=1.0).detect(rgb[:1])[0]
    low, high = spread(everything)
    middle = (low + high) / 2
    above = [box for box in everything if box.score >= middle]
    assert 1 < len(above) < len(everything)
    assert opened(tiny(kind), floor=middle, iou=1.0).detect(rgb[:1])[0] == above
    assert opened(tiny(kind), floor=0.0, iou=1.0, max_det=3).detect(rgb[:1])[0] == everything[:3]


def test_a_picture_without_a_detection_is_an_empty_list_in_its_place(tiny: Tiny, kind: str, rgb: list[Rgb]) -> None:
    best = [spread(boxes)[1] for boxes in opened(tiny(kind), floor=0.0).detect(rgb)]
    assert min(best) < max(best)
    floor = (min(best) + max(best)) / 2
    found = opened(tiny(kind), floor=floor).detect(rgb)
    assert [bool(boxes) for boxes in found] == [score >= floor for score in best]


def test_no_pictures_are_no_boxes_and_mixed_sizes_are_refused(tiny: Tiny, kind: str, rgb: list[Rgb]) -> None:
    detector = opened(tiny(kind))
    assert detector.detect([]) == []
    with pytest.raises(ValueError, match="one size"):
        detector.detect([rgb[0], rgb[1][:50]])
    mirrored = rgb[0][:, ::-1]  # a view that runs backwards, as bgr[:, :, ::-1] does
    assert detector.detect([mirrored]) == detector.detect([mirrored.copy()])


def test_half_precision_passes_through_every_operation(tiny: Tiny, kind: str, rgb: list[Rgb]) -> None:
    """What runs on a GPU, tried on a CPU: no operation mixes halves with floats, and boxes stay where they are."""
    import torch

    expected = opened(tiny(kind), floor=0.0, iou=1.0).detect(rgb[:1])[0]
    detector: Any = opened(tiny(kind), floor=0.0, iou=1.0)
    detector._dtype, detector._model = torch.float16, detector._model.half()
    if hasattr(detector, "_queries"):
        detector._queries = detector._queries.half()
    boxes = detector.detect(rgb[:1])[0]
    nearest = [min(np.abs(np.subtract(box.xyxy, other.xyxy)).max() for other in expected) for box in boxes]
    assert np.median(nearest) < 1 and abs(spread(boxes)[1] - spread(expected)[1]) < 0.1


def test_a_device_that_is_not_there_is_one_line(tiny: Tiny, kind: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match="cannot be put on cuda:0") as caught:
        opened(tiny(kind), device="cuda:0")
    assert "\n" not in str(caught.value)


def test_words_that_cannot_be_asked_are_named(tiny: Tiny, kind: str) -> None:
    for classes, words in (
        ({}, "classes: empty"),
        ({"door": [" _ "]}, r'classes\.door: there is nothing to read in " _ "'),
        ({"a": ["Glass  Door"], "b": ["glass_door"]}, '"Glass  Door" and "glass_door" read the same'),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            opened(tiny(kind), classes=classes)
        assert "\n" not in str(caught.value)


def test_a_class_without_words_is_asked_by_its_name(tiny: Tiny, kind: str, rgb: list[Rgb]) -> None:
    by_name = opened(tiny(kind), classes={"glass_door": []}).detect(rgb[:1])[0]
    by_word = opened(tiny(kind), classes={"glass_door": ["glass door"]}).detect(rgb[:1])[0]
    assert [(box.xyxy, box.score) for box in by_name] == [(box.xyxy, box.score) for box in by_word]
    assert {box.prompt for box in by_name} == {"glass_door"}


def test_weights_that_will_not_do_are_one_line(tiny: Tiny, kind: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(tiny(kind), tmp_path / "mine")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    tensors = load_file(weights)
    lost = next(name for name in tensors if "box" in name and name.endswith("weight"))
    save_file({name: value for name, value in tensors.items() if name != lost}, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"mine: its weights lack \d+ tensors, the first is {lost}"):
        opened(folder)
    weights.write_bytes(whole[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors: cut short"):
        opened(folder)
    weights.unlink()
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        opened(folder)


def test_a_folder_that_lacks_a_part_or_is_of_another_kind_is_one_line(tiny: Tiny, kind: str, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny(kind), tmp_path / "mine")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="mine: cannot be loaded") as caught:
        opened(folder)
    assert "\n" not in str(caught.value)
    other = shutil.copytree(tiny("clip"), tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "model_type": kind}))
    with pytest.raises(ModelError, match="other: ") as caught:
        opened(other)
    assert "\n" not in str(caught.value)
