"""The image-text scorer: equal to a reference computed here, and plain about weights that will not do."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_miner.errors import ModelError, SmallerError
from data_miner.models import registry
from data_miner.models.base import ImageTextScorer, Rgb, inference
from data_miner.sample.pictures import pictures
from data_miner.sample.weights import SCORER

TEXTS = ["a glass door in a building", "a wooden door", "an empty corridor", "something quite else"]


def opened(path: Path = SCORER, **settings: int) -> ImageTextScorer:
    return registry.open_scorer(registry.check(str(path), "filter"), **settings)


@pytest.fixture(scope="module")
def scorer() -> ImageTextScorer:
    return opened()


@pytest.fixture(scope="module")
def rgb() -> list[Rgb]:
    shown = pictures(3_000_001, 9, {"glass_door": 0.4, "wooden_door": 0.3, "corridor": 0.3})
    return [one.bgr[:, :, ::-1] for one in shown]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(SCORER, tmp_path / "tiny")
    return tmp_path / "tiny"


def test_scores_equal_those_of_the_whole_model_run_by_the_book(scorer: ImageTextScorer, rgb: list[Rgb]) -> None:
    """Picture and text through AutoProcessor and the model itself, which know nothing of our vectors."""
    import torch
    from PIL import Image
    from transformers import AutoModel, AutoProcessor

    model = AutoModel.from_pretrained(SCORER, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(SCORER)
    shown = [Image.fromarray(np.ascontiguousarray(picture)) for picture in rgb]
    inputs = processor(text=TEXTS, images=shown, padding="max_length", max_length=64, return_tensors="pt")
    with torch.inference_mode():
        output = model(pixel_values=inputs["pixel_values"], input_ids=inputs["input_ids"])
    expected = torch.sigmoid(output.logits_per_image).numpy()
    scores = scorer.scores(scorer.embed_images(rgb), scorer.embed_texts(TEXTS))
    assert scores.shape == (len(rgb), len(TEXTS)) and scores.dtype == np.float32
    assert expected.max() > 0.5 > 0.1 > expected.min()
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_scores_are_the_published_formula_on_the_stored_numbers(scorer: ImageTextScorer) -> None:
    from safetensors.numpy import load_file

    weights = load_file(SCORER / "model.safetensors")
    scale, bias = float(weights["logit_scale"][0]), float(weights["logit_bias"][0])
    vectors = np.eye(2, 128, dtype=np.float32)
    by_hand = [1 / (1 + math.exp(-(cosine * math.exp(scale) + bias))) for cosine in (1.0, 0.0)]
    assert scorer.scores(vectors[:1], vectors)[0] == pytest.approx(by_hand, rel=1e-4)


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(scorer: ImageTextScorer, rgb: list[Rgb]) -> None:
    images, texts = scorer.embed_images(rgb), scorer.embed_texts(TEXTS)
    for vectors in (images, texts):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(opened(batch=2).embed_images(rgb), images, atol=1e-5)
    np.testing.assert_allclose(scorer.embed_images(rgb[4:5]), images[4:5], atol=1e-5)


def test_pictures_of_different_sizes_are_embedded_as_when_alone(scorer: ImageTextScorer, rgb: list[Rgb]) -> None:
    small = np.ascontiguousarray(rgb[0][:200, :300])
    together = scorer.embed_images([rgb[1], small])
    np.testing.assert_allclose(together[1:], scorer.embed_images([small]), atol=1e-5)


def test_capitals_do_not_matter_and_long_texts_are_cut(scorer: ImageTextScorer) -> None:
    lower, upper = scorer.embed_texts(["a glass door", "A Glass DOOR"])
    np.testing.assert_array_equal(lower, upper)
    assert scorer.embed_texts(["glass door " * 100]).shape == (1, lower.size)


def test_nothing_in_gives_nothing_out(scorer: ImageTextScorer) -> None:
    assert len(scorer.embed_images([])) == 0 and len(scorer.embed_texts([])) == 0


def test_cut_weights_are_named(copy: Path) -> None:
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    for size, words in (
        (0, "not a safetensors"),
        (5, "not a safetensors"),
        (300, "not a"),
        (-1000, "cut short"),
    ):
        weights.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=words) as caught:
            opened(copy)
        assert "model.safetensors" in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_are_something_else_are_named(copy: Path) -> None:
    (copy / "model.safetensors").write_text("<!DOCTYPE html><title>404</title>" * 10)
    with pytest.raises(ModelError, match=r"model\.safetensors: not a safetensors file"):
        opened(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        opened(copy)


def test_weights_that_lack_tensors_are_not_filled_with_random_ones(copy: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    tensors.pop("logit_bias")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack 1 tensors, the first is logit_bias"):
        opened(copy)


def test_a_folder_without_tokenizer_or_with_another_architecture_is_named(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="tiny: cannot be loaded"):
        opened(copy)
    config = json.loads((SCORER / "config.json").read_text())
    config["vision_config"]["hidden_size"] = 64
    shutil.copy(SCORER / "tokenizer.json", copy)
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="tiny") as caught:
        opened(copy)
    assert "\n" not in str(caught.value)


def test_a_device_that_gives_up_asks_for_half_the_batch() -> None:
    import torch

    for error, reason in (
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("cuDNN error\nsecond line"), "model"),
    ):
        with pytest.raises(SmallerError) as caught, inference("best.pt"):
            raise error
        assert caught.value.reason == reason
        assert "\n" not in str(caught.value)
