"""Names of models: where they are looked for, what they turn out to be, and what is said if not that."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_miner.errors import ModelError
from data_miner.models import registry
from data_miner.sample.weights import DETECTOR, SCORER
from tests.support.shared import shared


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, so that the machine's own does not matter."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_the_tiny_models_and_an_openvino_folder_are_told_by_their_files() -> None:
    openvino = shared("models/yolo11n_int8_openvino_model")
    assert registry.check(str(DETECTOR), "detect").kind == "yolo"
    assert registry.check(str(SCORER), "filter").kind == "siglip"
    assert registry.check(openvino.name, "detect", [openvino.parent]).path == openvino


def test_a_relative_name_is_looked_for_in_each_place_in_turn(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    shutil.copy(DETECTOR, second / "best.pt")
    assert registry.check("best.pt", "detect", [first, second]).path == second / "best.pt"
    shutil.copy(DETECTOR, first / "best.pt")
    assert registry.check("best.pt", "detect", [first, second]).path == first / "best.pt"


@pytest.mark.parametrize("name", ["nowhere.pt", "google/siglip2-so400m-patch14-384"])
def test_a_missing_model_is_one_line_with_its_name_and_the_places(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        registry.check(name, "filter", [tmp_path])
    message = str(caught.value)
    assert name in message and str(tmp_path) in message and "\n" not in message
    assert ("Hugging Face cache" in message) is ("/" in name)


def test_a_hugging_face_name_is_found_in_the_local_cache_and_named_by_its_commit(own_cache: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = own_cache / "models--someone--tiny-siglip"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(SCORER, repository / "snapshots" / commit)
    ref = registry.check("someone/tiny-siglip", "filter")
    assert (ref.kind, registry.digest(ref)) == ("siglip", f"someone/tiny-siglip@{commit}")


def test_a_model_in_the_wrong_role_is_refused() -> None:
    with pytest.raises(ModelError, match=r"detect\.model must be a detector"):
        registry.check(str(SCORER), "detect")
    with pytest.raises(ModelError, match=r"filter\.model must be an image-text scorer"):
        registry.check(str(DETECTOR), "filter")
    with pytest.raises(ModelError, match=r"detect\.text_model must be a CLIP, this is siglip"):
        registry.check(str(SCORER), "text")


def test_a_reader_of_words_is_no_image_embedder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match=r"dedup\.model must be an image embedder"):
        registry.check(str(tmp_path), "dedup")
    (tmp_path / "preprocessor_config.json").write_text("{}")
    assert registry.check(str(tmp_path), "dedup").kind == "bert"  # what is in it, the loader says


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "detr").mkdir()
    (tmp_path / "detr" / "config.json").write_text(json.dumps({"model_type": "detr"}))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    for name, words in {
        "empty.pt": "is empty",
        "notes.txt": "not a model file",
        "folder": "neither config.json nor",
        "detr": "detr are not supported",
        "broken": "config.json: not a transformers",
    }.items():
        with pytest.raises(ModelError, match=words) as caught:
            registry.check(name, "detect", [tmp_path])
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_an_openvino_folder_without_its_weights_names_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "copy_openvino_model"
    shutil.copytree(shared("models/yolo11n_int8_openvino_model"), folder)
    folder.chmod(0o755)
    (folder / "yolo11n.bin").unlink()
    with pytest.raises(ModelError, match=r"yolo11n\.bin: missing"):
        registry.check(str(folder), "detect")


def test_the_digest_follows_the_weights_and_not_the_place_or_the_card(tmp_path: Path) -> None:
    shutil.copytree(SCORER, tmp_path / "a")
    shutil.copytree(SCORER, tmp_path / "b")
    (tmp_path / "b" / "MODEL_CARD.md").write_text("other words")
    one, two = (registry.digest(registry.check(name, "filter", [tmp_path])) for name in ("a", "b"))
    assert one == two and one.startswith("sha256:")
    weights = tmp_path / "b" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert registry.digest(registry.check("b", "filter", [tmp_path])) != one


def test_checking_and_hashing_import_no_model_library() -> None:
    code = f"""
import sys
from data_miner.models import registry
registry.digest(registry.check({str(DETECTOR)!r}, "detect"))
registry.digest(registry.check({str(SCORER)!r}, "filter"))
import data_miner.models.yolo, data_miner.models.siglip
heavy = {{"torch", "ultralytics", "transformers", "cv2", "openvino"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
