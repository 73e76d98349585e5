"""Grounding DINO and MM Grounding DINO: equal to transformers' own reading, and words never become others."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_miner.errors import ModelError
from data_miner.models import registry
from data_miner.models.base import Detector, Rgb
from data_miner.records import Box
from tests.support.expected_boxes import assert_same, expected_boxes

Tiny = Callable[[str], Path]
CLASSES = {"glass_door": ["glass door", "sliding glass door"], "door_handle": ["Door_Handle", "push"]}
HEIGHT, WIDTH = 90, 160


def opened(folder: Path, **settings: Any) -> Detector:
    defaults: dict[str, Any] = {"classes": CLASSES, "imgsz": 64, "batch": 4, "floor": 0.05}
    return registry.open_detector(registry.check(str(folder), "detect"), **{**defaults, **settings})


def picture(seed: int) -> Rgb:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((15, 20, 1), np.uint8))


def by_the_book(folder: Path, classes: Mapping[str, Sequence[str]], rgb: Rgb) -> list[Box]:
    """All candidates through transformers' processor, model and post-processing; words by where they are written."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForZeroShotObjectDetection, AutoTokenizer
    from transformers import GroundingDinoProcessor as Processor

    processor = Processor(AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    labels = [(label, word) for label, words in classes.items() for word in words]
    asked = [word.lower().replace("_", " ") for _, word in labels]
    size = {"shortest_edge": 64, "longest_edge": 107}  # 64 * 1333 / 800
    inputs = processor(images=rgb, text=[asked], size=size, return_tensors="pt")
    assert inputs["pixel_values"].shape[2:] == (60, 107)
    with torch.inference_mode():
        output = model(**inputs)
    shape = [(HEIGHT, WIDTH)]
    found = processor.post_process_grounded_object_detection(output, inputs["input_ids"], 0.0, 0.0, shape)[0]

    spans = processor.tokenizer(". ".join(asked) + ".", return_offsets_mapping=True)["offset_mapping"]
    ends = list(itertools.accumulate(len(word) + 2 for word in asked))
    starts = [end - len(word) - 2 for end, word in zip(ends, asked, strict=True)]
    tokens = [
        [place for place, (left, right) in enumerate(spans) if start <= left < right <= start + len(word)]
        for start, word in zip(starts, asked, strict=True)
    ]
    boxes = []
    probabilities = output.logits[0].sigmoid()
    for row, xyxy, whole in zip(probabilities, found["boxes"].tolist(), found["scores"].tolist(), strict=True):
        scores = [float(row[places].max()) for places in tokens]
        best = int(np.argmax(scores))
        assert scores[best] <= whole  # theirs also counts the full stops
        boxes.append(Box(labels[best][0], scores[best], tuple(xyxy), labels[best][1]))
    return boxes


@pytest.mark.parametrize("kind", ["grounding-dino", "mm-grounding-dino"])
def test_boxes_equal_those_of_transformers_own_post_processing(tiny: Tiny, kind: str) -> None:
    for seed in (1, 2):
        candidates = by_the_book(tiny(kind), CLASSES, picture(seed))
        for floor, iou in ((0.05, 0.7), (0.3, 0.2)):
            expected = expected_boxes(candidates, width=WIDTH, height=HEIGHT, floor=floor, iou=iou)
            assert {box.prompt for box in expected} > {"glass door"}
            assert_same(opened(tiny(kind), floor=floor, iou=iou).detect([picture(seed)])[0], expected)


def test_more_words_than_a_caption_holds_are_asked_in_several(tiny: Tiny) -> None:
    """Words of three tokens and a full stop: 63 of them fill 254 tokens."""
    words = ["".join(letters) for letters in itertools.product("xyz", "efghi", "klmno")]
    one_by_one = {word: [word] for word in words}
    assert len(words) == 75
    settings: dict[str, Any] = {"floor": 0.0, "iou": 1.0, "max_det": 10_000}
    together = opened(tiny("grounding-dino"), classes=one_by_one, **settings).detect([picture(3)])[0]
    parts = [
        opened(tiny("grounding-dino"), classes={word: [word] for word in some}, **settings).detect([picture(3)])[0]
        for some in (words[:63], words[63:])
    ]
    expected = sorted(itertools.chain(*parts), key=lambda box: (-box.score, box.xyxy))
    assert_same(together, expected)
    assert all(parts) and {box.label for box in together} <= set(words)


def test_a_dictionary_of_ten_thousand_words_is_asked(tiny: Tiny) -> None:
    words = [
        "".join(letters)
        for letters in itertools.islice(itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=3), 10_000)
    ]
    detector = opened(tiny("grounding-dino"), classes={word: [word] for word in words}, max_det=30)
    boxes = detector.detect([picture(4)])[0]
    assert len(boxes) == 30 and len({box.label for box in boxes}) > 5
    assert all(box.label == box.prompt and box.label in words for box in boxes)


def test_full_stops_and_question_marks_do_not_cut_a_word_in_two(tiny: Tiny) -> None:
    plain = opened(tiny("grounding-dino"), classes={"door": ["glass door"], "push": ["push"]}).detect([picture(5)])
    dotted = opened(tiny("grounding-dino"), classes={"door": ["Glass.door?"], "push": ["push"]}).detect([picture(5)])
    assert [(box.label, box.xyxy, box.score) for box in plain[0]] == [
        (box.label, box.xyxy, box.score) for box in dotted[0]
    ]
    assert "Glass.door?" in {box.prompt for box in dotted[0]}


def test_a_word_beyond_the_models_text_or_alphabet_is_named(tiny: Tiny) -> None:
    for word, said in (("glass " * 254, '"glass glass .* is 254 tokens, and this model reads 253'), ("玻璃", '"玻璃"')):
        with pytest.raises(ModelError, match=said) as caught:
            opened(tiny("grounding-dino"), classes={"door": ["glass door", word]})
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    opened(tiny("grounding-dino"), classes={"door": ["glass " * 253]})


def test_pictures_too_small_for_the_models_queries_are_refused_when_it_is_opened(tiny: Tiny) -> None:
    """40 queries want 40 places; 32 px have 16 + 4 + 1 + 1 of them, and 64 px 85."""
    with pytest.raises(ModelError, match="imgsz 32 is too small for this model; give 64 or more"):
        opened(tiny("grounding-dino"), imgsz=32)
    opened(tiny("grounding-dino"), imgsz=64).detect([np.zeros((50, 50, 3), np.uint8)])
