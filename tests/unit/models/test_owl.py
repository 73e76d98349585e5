"""OWLv2 and OWL-ViT: equal to transformers' own forward and post-processing, padded or stretched."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_miner.models import registry
from data_miner.models.base import Detector, Rgb
from data_miner.records import Box
from tests.support.expected_boxes import assert_same, expected_boxes

Tiny = Callable[[str], Path]
CLASSES = {"glass_door": ["glass door", "sliding glass door"], "door_handle": ["Door_Handle", "push"]}
SHAPES = [(90, 160), (160, 90)]

both_kinds = pytest.mark.parametrize("kind", ["owlv2", "owlvit"])


def opened(folder: Path, **settings: Any) -> Detector:
    defaults: dict[str, Any] = {"classes": CLASSES, "imgsz": 640, "batch": 4, "floor": 0.05}
    return registry.open_detector(registry.check(str(folder), "detect"), **{**defaults, **settings})


def picture(seed: int, shape: tuple[int, int] = SHAPES[0]) -> Rgb:
    coarse = np.random.default_rng(seed).integers(0, 255, (shape[0] // 10, shape[1] // 10, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((10, 10, 1), np.uint8))


def by_the_book(kind: str, folder: Path, classes: Mapping[str, Sequence[str]], rgb: Rgb) -> list[Box]:
    """All candidates through transformers' processor, whole model and post-processing."""
    import torch
    import transformers

    family = {"owlv2": transformers.Owlv2Processor, "owlvit": transformers.OwlViTProcessor}[kind]
    parts = (transformers.AutoImageProcessor, transformers.AutoTokenizer)
    processor = family(*(part.from_pretrained(folder) for part in parts))
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    labels = {word: label for label, words in classes.items() for word in words}
    asked = [word.replace("_", " ") for word in labels]
    inputs = processor(text=[asked], images=rgb, return_tensors="pt", max_length=16, truncation=True)
    with torch.inference_mode():
        output = model(**inputs)
    found = processor.post_process_grounded_object_detection(output, 0.0, [rgb.shape[:2]], [list(labels)])[0]
    return [
        Box(labels[word], score, tuple(xyxy), word)
        for xyxy, score, word in zip(
            found["boxes"].tolist(), found["scores"].tolist(), found["text_labels"], strict=True
        )
    ]


@both_kinds
@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_equal_those_of_transformers_own_post_processing(tiny: Tiny, kind: str, shape: tuple[int, int]) -> None:
    candidates = by_the_book(kind, tiny(kind), CLASSES, picture(1, shape))
    for floor, iou in ((0.05, 0.7), (0.4, 0.2)):
        expected = expected_boxes(candidates, width=shape[1], height=shape[0], floor=floor, iou=iou)
        assert len(expected) > 2
        assert_same(opened(tiny(kind), floor=floor, iou=iou).detect([picture(1, shape)])[0], expected)


def test_a_dictionary_of_ten_thousand_words_is_read_once_and_asked(tiny: Tiny) -> None:
    """In parts of 256 words here, in one piece by the book."""
    kind = "owlv2"
    letters = itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=3)
    classes = {word: [word] for word in map("".join, itertools.islice(letters, 10_000))}
    candidates = by_the_book(kind, tiny(kind), classes, picture(2))
    expected = expected_boxes(candidates, width=160, height=90, floor=0.05, iou=0.7)
    assert len({box.prompt for box in expected}) > 3
    assert_same(opened(tiny(kind), classes=classes).detect([picture(2)])[0], expected)


@both_kinds
def test_words_are_cut_where_the_model_stops_reading(tiny: Tiny, kind: str) -> None:
    long, cut = ["glass door " * 50, "push"], ["glass door " * 7, "push"]  # 14 tokens between start and end
    boxes = [opened(tiny(kind), classes={"door": words}).detect([picture(3)])[0] for words in (long, cut)]
    assert [(box.xyxy, box.score) for box in boxes[0]] == [(box.xyxy, box.score) for box in boxes[1]]


@both_kinds
def test_the_picture_size_asked_for_is_the_models_own_affair(tiny: Tiny, kind: str) -> None:
    assert opened(tiny(kind), imgsz=64).detect([picture(4)]) == opened(tiny(kind), imgsz=1280).detect([picture(4)])
