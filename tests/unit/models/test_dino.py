"""Image backbones as embedders: equal to the model run by the book, and plain about folders that will not do."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_miner.errors import ModelError, SmallerError
from data_miner.models import registry
from data_miner.models.base import Embedder, Rgb, Vectors
from data_miner.models.batching import halving
from data_miner.models.dino import TransformersEmbedder
from tests.support import tiny_models

Tiny = Callable[[str], Path]
REGISTERS = 4
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def rgb() -> list[Rgb]:
    """Seven pictures of three sizes, one of them seen from its end."""
    random = np.random.default_rng(0)
    sizes = [(70, 130), (64, 64), (200, 90)]
    found = [random.integers(0, 256, (*sizes[i % 3], 3), dtype=np.uint8) for i in range(7)]
    return [*found[:6], found[6][:, ::-1]]


@pytest.fixture(scope="module")
def with_registers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write("dinov2", tmp_path_factory.mktemp("registers") / "dinov2", registers=REGISTERS)


def opened(path: Path, **settings: Any) -> TransformersEmbedder:
    return TransformersEmbedder(path, "sha256:0", **settings)


def by_the_book(path: Path, rgb: Sequence[Rgb], read: Callable[[Any], Any], model: str = "AutoModel") -> Vectors:
    """Pictures through transformers' own classes, one by one; `read` takes the vector out of the output."""
    import torch
    import transformers
    from PIL import Image

    whole = getattr(transformers, model).from_pretrained(path, dtype=torch.float32).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(path)
    rows = []
    for picture in rgb:
        with torch.inference_mode():
            pixels = processor(images=Image.fromarray(np.ascontiguousarray(picture)), return_tensors="pt")
            rows.append(read(whole(**pixels))[0].numpy())
    return np.stack([row / np.linalg.norm(row) for row in rows])


def changed(source: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a model whose tensors `change` has edited."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("kind", ["dinov2", "vit", "resnet", "convnext", "clip"])
def test_pooled_vectors_equal_those_of_the_model_run_by_the_book(kind: str, tiny: Tiny, rgb: list[Rgb]) -> None:
    model = "CLIPVisionModel" if kind == "clip" else "AutoModel"
    expected = by_the_book(tiny(kind), rgb, lambda output: output.pooler_output.flatten(1), model)
    vectors = opened(tiny(kind), batch=3).embed_images(rgb)
    assert vectors.dtype == np.float32 and vectors.shape == expected.shape
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


@pytest.mark.parametrize(("kind", "first"), [("dinov2", 1), ("vit", 1), ("clip", 1), ("resnet", None)])
def test_mean_vectors_are_the_mean_over_the_places_of_the_picture(
    kind: str, first: int | None, tiny: Tiny, rgb: list[Rgb]
) -> None:
    def read(output: Any) -> Any:
        hidden = output.last_hidden_state
        return hidden.mean((2, 3)) if first is None else hidden[:, first:].mean(1)

    model = "CLIPVisionModel" if kind == "clip" else "AutoModel"
    expected = by_the_book(tiny(kind), rgb, read, model)
    np.testing.assert_allclose(opened(tiny(kind), pooling="mean").embed_images(rgb), expected, atol=1e-5)


def test_the_mean_sees_neither_class_nor_register_tokens(with_registers: Path, tmp_path: Path, rgb: list[Rgb]) -> None:
    """With layers that add nothing no token sees another, so only counting them in could change the mean."""
    import torch
    from transformers import AutoModel

    def deaf(tensors: dict[str, Any], loud: float) -> None:
        for name, tensor in tensors.items():
            if "lambda1" in name:
                tensor[:] = 0
            elif name.endswith(("cls_token", "register_tokens")):
                tensor[:] = loud * np.linspace(-1, 1, tensor.shape[-1], dtype=np.float32)

    quiet = changed(with_registers, tmp_path / "quiet", lambda tensors: deaf(tensors, 0))
    loud = changed(with_registers, tmp_path / "loud", lambda tensors: deaf(tensors, 100))
    pixels = torch.zeros(1, 3, 56, 56)
    with torch.inference_mode():
        tokens = [AutoModel.from_pretrained(folder)(pixels).last_hidden_state[0] for folder in (quiet, loud)]
    is_changed = (tokens[0] - tokens[1]).abs().amax(1) > 1e-3
    assert is_changed.tolist() == [True] * (1 + REGISTERS) + [False] * 16
    means = [opened(folder, pooling="mean").embed_images(rgb) for folder in (quiet, loud)]
    np.testing.assert_allclose(means[0], means[1], atol=1e-6)
    pooled = [opened(folder).embed_images(rgb) for folder in (quiet, loud)]
    assert np.abs(pooled[0] - pooled[1]).max() > 0.1


@pytest.mark.parametrize("pooling", ["pooled", "mean"])
def test_vectors_have_length_one_and_do_not_depend_on_the_batch(
    pooling: str, with_registers: Path, rgb: list[Rgb]
) -> None:
    vectors = opened(with_registers, pooling=pooling).embed_images(rgb)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-7)
    np.testing.assert_allclose(opened(with_registers, pooling=pooling, batch=2).embed_images(rgb), vectors, atol=1e-5)
    alone = opened(with_registers, pooling=pooling, batch=1)
    np.testing.assert_allclose(np.concatenate([alone.embed_images([one]) for one in rgb]), vectors, atol=1e-5)
    assert alone.embed_images([]).shape == (0, 32)


@pytest.mark.parametrize("pooling", ["pooled", "mean"])
def test_half_precision_changes_a_vector_by_less_than_a_thousandth(pooling: str, tiny: Tiny, rgb: list[Rgb]) -> None:
    """What a GPU computes in, here on a CPU: pixels are cast, lengths are still 1 in full precision."""
    import torch

    embedder = opened(tiny("dinov2"), pooling=pooling)
    expected = embedder.embed_images(rgb)
    embedder._model, embedder._dtype = embedder._model.half(), torch.float16
    vectors = embedder.embed_images(rgb)
    assert 1e-6 < np.abs(vectors - expected).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-7)


def test_a_masked_autoencoder_hides_nothing(tmp_path: Path, tiny: Tiny, rgb: list[Rgb]) -> None:
    import transformers

    config = transformers.ViTMAEConfig(**SMALL, image_size=64, patch_size=16)
    transformers.ViTMAEModel(config).save_pretrained(tmp_path / "mae")
    shutil.copy(tiny("vit") / "preprocessor_config.json", tmp_path / "mae")
    embedder = opened(tmp_path / "mae", pooling="mean")
    np.testing.assert_allclose(embedder.embed_images(rgb), embedder.embed_images(rgb), atol=1e-5)


def test_the_registry_opens_a_backbone_by_its_folder(tiny: Tiny, rgb: list[Rgb]) -> None:
    ref = registry.check(str(tiny("dinov2")), "dedup")
    embedder: Embedder = registry.open_embedder(ref, pooling="mean", batch=4)
    assert embedder.digest == registry.digest(ref) and embedder.digest.startswith("sha256:")
    assert embedder.embed_images(rgb).shape == (7, 32)
    embedder.close()


def test_a_full_device_asks_for_half_the_batch_and_then_gives_the_same(tiny: Tiny, rgb: list[Rgb]) -> None:
    import torch

    def full(module: Any, args: Any, kwargs: Any) -> None:
        if len(kwargs["pixel_values"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    embedder = opened(tiny("dinov2"))
    expected = embedder.embed_images(rgb)
    embedder._model.register_forward_pre_hook(full, with_kwargs=True)
    with pytest.raises(SmallerError) as caught:
        embedder.embed_images(rgb)
    assert caught.value.reason == "out_of_memory" and "\n" not in str(caught.value)
    parts = list(halving(rgb, 7, embedder.embed_images))
    assert [len(part) for part, _ in parts] == [1] * 7  # 7, 3, then 1
    np.testing.assert_allclose(np.concatenate([vectors for _, vectors in parts]), expected, atol=1e-5)


def test_a_picture_of_which_nothing_is_seen_is_zeros_and_what_is_no_number_fails(
    tiny: Tiny, tmp_path: Path, rgb: list[Rgb]
) -> None:
    def last_norm(tensors: dict[str, Any], value: float) -> None:
        tensors["layernorm.weight"][:] = 0
        tensors["layernorm.bias"][:] = value

    blind = changed(tiny("dinov2"), tmp_path / "blind", lambda tensors: last_norm(tensors, 0))
    assert not opened(blind).embed_images(rgb).any()
    broken = changed(tiny("dinov2"), tmp_path / "broken", lambda tensors: last_norm(tensors, np.nan))
    with pytest.raises(SmallerError, match="model: broken: gave numbers"):
        opened(broken).embed_images(rgb)


def test_a_classifier_without_a_pooler_gives_its_class_token(tiny: Tiny, tmp_path: Path, rgb: list[Rgb]) -> None:
    """google/vit-base-patch16-224 is one: transformers would fill the pooler with random numbers."""

    def drop(tensors: dict[str, Any], part: str) -> None:
        for name in [name for name in tensors if part in name]:
            del tensors[name]

    headless = changed(tiny("vit"), tmp_path / "headless", lambda tensors: drop(tensors, "pooler."))
    expected = by_the_book(headless, rgb, lambda output: output.last_hidden_state[:, 0])
    np.testing.assert_allclose(opened(headless).embed_images(rgb), expected, atol=1e-5)
    for kind, part in (("vit", "layernorm."), ("clip", "vision_model.post_layernorm.")):
        with pytest.raises(ModelError, match=r"its weights lack 2 tensors, the first is .*layernorm\.bias"):
            opened(changed(tiny(kind), tmp_path / f"{kind}_cut", lambda tensors, part=part: drop(tensors, part)))


def test_folders_that_will_not_do_are_one_line_with_their_name(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("vit"), tmp_path / "blind_vit")
    (tmp_path / "blind_vit" / "preprocessor_config.json").unlink()
    shutil.copytree(tiny("vit"), tmp_path / "large_vit")
    settings = json.loads((tiny("vit") / "preprocessor_config.json").read_text())
    settings["size"] = {"height": 96, "width": 96}
    (tmp_path / "large_vit" / "preprocessor_config.json").write_text(json.dumps(settings))
    shutil.copytree(tiny("vit"), tmp_path / "cut_vit")
    weights = tmp_path / "cut_vit" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    shutil.copytree(tiny("vit"), tmp_path / "pickled_vit")
    (tmp_path / "pickled_vit" / "model.safetensors").rename(tmp_path / "pickled_vit" / "pytorch_model.bin")
    for path, words in {
        tiny("bert"): "BertModel does not look at pictures",
        tmp_path / "blind_vit": "cannot be loaded",
        tmp_path / "large_vit": "cannot embed a picture",
        tmp_path / "cut_vit": r"model\.safetensors: cut short",
        tmp_path / "pickled_vit": r"no \.safetensors",
    }.items():
        with pytest.raises(ModelError, match=words) as caught:
            opened(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_device_or_a_pooling_that_is_not_there_is_said(tiny: Tiny) -> None:
    with pytest.raises(ModelError, match="cannot be put on cuda:77"):
        opened(tiny("vit"), device="cuda:77")
    with pytest.raises(ModelError, match="neither pooled nor mean"):
        opened(tiny("vit"), pooling="max")


def test_importing_costs_no_model_library() -> None:
    code = """
import sys
import data_miner.models.dino, data_miner.models.vram, data_miner.models.batching, data_miner.similarity.cosine
heavy = {"torch", "transformers", "cv2"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
