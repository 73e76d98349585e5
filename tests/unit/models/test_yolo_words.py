"""YOLO-World and YOLOE with our words: the same boxes as their networks give, whatever the batch or the order."""

import socket
import subprocess
import sys
import types
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from data_miner.errors import ModelError
from data_miner.models import registry
from data_miner.models.base import Detector
from data_miner.models.voting import iou_matrix
from data_miner.records import Box
from data_miner.sample.weights import DETECTOR
from tests.support import tiny_models, tiny_yolo

KINDS = ["yolov8-world", "yolov8-worldv2", "yoloe-v8", "yoloe-v8-seg", "yoloe-26-seg"]
CLASSES = {"glass_door": ["sliding door", "glass door"], "person": ["person"], "bottle": []}
WORDS = ["bottle", "glass door", "person", "sliding door"]  # in the order of the alphabet
Opener = Callable[..., Detector]


@pytest.fixture(autouse=True)
def nothing_is_installed_or_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics' own set_classes would call pip and git, and download a CLIP."""

    def refused(*arguments: object, **_: object) -> None:
        raise AssertionError(f"a process or a connection was started: {arguments[1:]}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("words")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return tiny_models.write("clip", folder / "clip", width=512)


@pytest.fixture(scope="module")
def weights(folder: Path) -> Callable[[str], Path]:
    return lru_cache(maxsize=None)(lambda name: tiny_yolo.write(name, folder))


@pytest.fixture
def opened(weights: Callable[[str], Path], clip: Path, folder: Path) -> Opener:
    def open_it(name: str, classes: dict[str, list[str]] | None = None, **settings: object) -> Detector:
        text = registry.check(str(settings.pop("text", clip)), "filter")
        ref = registry.check(str(weights(name)), "detect")
        settings = {"imgsz": 128, "cache": folder / "cache", **settings}
        return registry.open_detector(ref, classes=classes or CLASSES, text=text, **settings)  # type: ignore[arg-type]

    return open_it


def reference(weights: Path, clip: Path, floor: float) -> list[tuple[float, ...]]:
    """x1, y1, x2, y2, score, word of the first picture: CLIP and the network by themselves, without suppression."""
    import torch
    from transformers import AutoTokenizer, CLIPModel
    from ultralytics import YOLO

    tokens = AutoTokenizer.from_pretrained(clip)(WORDS, padding=True, return_tensors="pt")
    network = YOLO(str(weights)).model.float().eval()
    picture = torch.from_numpy(tiny_yolo.random_pictures(1)[0]).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        features = CLIPModel.from_pretrained(clip).get_text_features(**tokens).pooler_output
        features = features / features.norm(dim=-1, keepdim=True)
        asked = {"txt_feats": features[None]} if "world" in weights.name else {"tpe": features[None]}
        network.model[-1].nc = len(WORDS)
        output = network.predict(picture, **asked)[0]
    output = output[0] if isinstance(output, tuple) else output  # a network that segments adds its prototypes
    if output.shape[-1] > 100:  # centers and sizes of all anchors; else corners of the best 300, word by word
        scores, words = output[0, 4 : 4 + len(WORDS)].max(dim=0)
        xy, half = output[0, :2], output[0, 2:4] / 2
        output = torch.cat([xy - half, xy + half, scores[None], words[None]]).T[None]
    rows = output[0, output[0, :, 4] > floor, :6]
    rows[:, :4] = rows[:, :4].clamp(0, 128)
    return sorted(map(tuple, rows.tolist()), key=lambda row: -row[4])


def flat(boxes: list[Box]) -> np.ndarray:
    return np.array([[*box.xyxy, box.score] for box in boxes]).reshape(-1, 5)


@pytest.mark.parametrize("name", KINDS)
def test_boxes_are_those_of_the_network_with_clips_words(
    name: str, opened: Opener, weights: Callable[[str], Path], clip: Path
) -> None:
    found = opened(name, iou=1.0, floor=0.2).detect(tiny_yolo.random_pictures(1))[0]
    expected = reference(weights(name), clip, 0.2)
    assert len(found) == len(expected) > 5
    assert len({box.prompt for box in found}) > 1
    np.testing.assert_allclose(flat(found)[:, 4], np.array(expected)[:, 4], atol=0.002)
    for box in found:
        near = [row for row in expected if abs(row[4] - box.score) < 0.005 and WORDS[int(row[5])] == box.prompt]
        assert any(np.abs(np.subtract(row[:4], box.xyxy)).max() < 1 for row in near), box


@pytest.mark.parametrize("name", KINDS)
def test_boxes_depend_neither_on_the_batch_nor_on_the_order_of_the_words(name: str, opened: Opener) -> None:
    pictures = tiny_yolo.random_pictures(5, height=96)
    detector = opened(name, batch=1)
    alone = detector.detect(pictures)
    assert sum(map(len, alone)) > 20
    for boxes, together in zip(alone, opened(name, batch=3).detect(pictures), strict=True):
        assert [(box.label, box.prompt) for box in boxes] == [(box.label, box.prompt) for box in together]
        np.testing.assert_allclose(flat(together)[:, :4], flat(boxes)[:, :4], atol=1)
        np.testing.assert_allclose(flat(together)[:, 4], flat(boxes)[:, 4], atol=0.01)
    turned = {label: list(reversed(CLASSES[label])) for label in reversed(CLASSES)}
    assert opened(name, turned, batch=1).detect(pictures) == alone


def test_every_box_has_the_class_of_its_word_and_one_of_a_class_stands_for_a_place(opened: Opener) -> None:
    detector = opened("yolov8-worldv2", iou=0.3)
    (boxes,) = detector.detect(tiny_yolo.random_pictures(1))
    of_words = {"sliding door": "glass_door", "glass door": "glass_door", "person": "person", "bottle": "bottle"}
    assert boxes and all(of_words[box.prompt] == box.label for box in boxes)
    assert {"sliding door", "glass door"} <= {box.prompt for box in boxes}
    assert [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
    assert all(0 <= box.xyxy[0] < box.xyxy[2] <= 128 and 0 <= box.xyxy[1] < box.xyxy[3] <= 128 for box in boxes)
    for label in of_words.values():
        overlaps = iou_matrix([box for box in boxes if box.label == label])
        assert (overlaps - np.eye(len(overlaps))).max(initial=0) <= 0.3


def test_floor_and_max_det_hold(opened: Opener) -> None:
    pictures = tiny_yolo.random_pictures(3)
    low = opened("yoloe-v8", floor=0.05).detect(pictures)
    high = opened("yoloe-v8", floor=0.5).detect(pictures)
    assert min(box.score for boxes in low for box in boxes) < 0.5
    assert [[box for box in boxes if box.score > 0.5] for boxes in low] == high
    assert opened("yoloe-v8", max_det=2).detect(pictures) == [boxes[:2] for boxes in low]
    assert opened("yoloe-v8", floor=0.999).detect(pictures) == [[], [], []]
    assert opened("yoloe-v8").detect([]) == []


def test_ten_thousand_words_keep_their_boxes_apart_to_the_pixel(opened: Opener) -> None:
    """Ultralytics keeps classes apart by 7680 px each, which float32 rounds to 8 px at the ten thousandth."""
    words = [f"door {number}" for number in range(10_000)]
    (boxes,) = opened("yoloe-v8", {"door": words}, iou=0.9, max_det=50).detect(tiny_yolo.random_pictures(1))
    assert len(boxes) == 50 and len({box.prompt for box in boxes}) > 5
    assert (iou_matrix(boxes) - np.eye(50)).max() <= 0.9


def test_a_clip_of_another_width_is_named_with_what_the_model_takes(opened: Opener, folder: Path) -> None:
    narrow = tiny_models.write("clip", folder / "narrow", width=768)
    for name in ("yolov8-worldv2", "yoloe-v8"):
        with pytest.raises(ModelError, match=f"narrow: its vectors have 768 numbers but {name}.pt takes 512") as caught:
            opened(name, text=narrow)
        assert "\n" not in str(caught.value)


def test_one_word_for_two_classes_and_no_words_are_refused(opened: Opener) -> None:
    with pytest.raises(ModelError, match='"Person" and "person" read the same'):
        opened("yoloe-v8", {"human": ["Person"], "person": ["person"]})
    with pytest.raises(ModelError, match="classes"):
        opened("yoloe-v8", {"door": [" _ "]})


def test_a_missing_text_model_is_said_before_weights_are_read(weights: Callable[[str], Path]) -> None:
    ref = registry.check(str(weights("yoloe-v8")), "detect")
    with pytest.raises(ModelError, match=r"detect\.text_model is empty"):
        registry.open_detector(ref, classes=CLASSES, imgsz=128)


def test_a_device_that_is_not_there_is_one_line(opened: Opener, folder: Path) -> None:
    import torch

    device = f"cuda:{torch.cuda.device_count()}"  # one more than there are
    for cache in (None, folder / "cache"):
        with pytest.raises(ModelError, match="cannot be") as caught:
            opened("yoloe-v8", device=device, cache=cache)
        assert "\n" not in str(caught.value)


def test_a_yoloe_whose_words_are_fixed_is_refused_in_one_line(folder: Path, opened: Opener) -> None:
    import torch

    from data_miner.models.yolo import load

    path = tiny_yolo.write("yoloe-v8", folder)
    for name, message in {"fused": "words are fused", "prompt_free": "without -pf"}.items():
        network = load(path).model
        if name == "fused":
            network.eval().model[-1].fuse(torch.zeros(1, 80, 512))
        else:
            network.model[-1].lrpc = torch.nn.ModuleList()
        torch.save({"model": network}, folder / f"{name}.pt")
        ref = registry.ModelRef(name, "yoloe", folder / f"{name}.pt")
        with pytest.raises(ModelError, match=message):
            registry.open_detector(ref, classes=CLASSES, imgsz=128, text=registry.check(str(folder / "clip"), "filter"))


def test_a_closed_detector_asked_as_an_open_one_and_the_reverse_are_refused(
    weights: Callable[[str], Path], clip: Path
) -> None:
    text = registry.check(str(clip), "filter")
    closed = registry.ModelRef("doors", "yolo-world", DETECTOR)
    with pytest.raises(ModelError, match="DetectionModel is not asked in words"):
        registry.open_detector(closed, classes=CLASSES, imgsz=128, text=text)
    for name, message in {"yoloe-v8": "old file format", "yolov8-seg": "made to segment"}.items():
        with pytest.raises(ModelError, match=message):
            registry.open_detector(registry.ModelRef(name, "yolo", weights(name)), classes=CLASSES, imgsz=128)


def test_weights_with_a_clip_inside_are_refused_without_installing_one(folder: Path, opened: Opener) -> None:
    """What Ultralytics saves after its own set_classes."""
    import torch

    from data_miner.models.yolo import load

    network = load(tiny_yolo.write("yolov8-worldv2", folder)).model
    module = types.ModuleType("ultralytics.nn.text_model")
    module.CLIP = type("CLIP", (torch.nn.Module,), {"__module__": module.__name__})  # type: ignore[attr-defined]
    network.clip_model = module.CLIP()  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        torch.save({"model": network}, folder / "with_clip.pt")
    finally:
        del sys.modules[module.__name__]
    ref = registry.check(str(folder / "with_clip.pt"), "detect")
    with pytest.raises(ModelError, match="saved with a CLIP inside"):
        registry.open_detector(ref, classes=CLASSES, imgsz=128, text=registry.check(str(folder / "clip"), "filter"))
