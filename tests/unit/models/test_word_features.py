"""Words as CLIP reads them: equal to the whole model's text features, remembered, and read again when damaged."""

import logging
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_miner.errors import ModelError
from data_miner.models import words
from data_miner.models.words import text_features
from tests.support import tiny_models

DOORS = ["glass door", "a wooden door in a building", "Person", "push"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write("clip", tmp_path_factory.mktemp("clip"), width=48)


def reference(clip: Path, texts: list[str]) -> np.ndarray:
    """The whole CLIP, asked one word at a time."""
    import torch
    from transformers import AutoTokenizer, CLIPModel

    model, tokenizer = CLIPModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    with torch.inference_mode():
        rows = [
            model.get_text_features(**tokenizer(text, truncation=True, return_tensors="pt")).pooler_output[0]
            for text in texts
        ]
    return np.stack([(row / row.norm()).numpy() for row in rows])


def test_features_are_those_of_the_whole_clip_in_the_order_asked(clip: Path) -> None:
    features = text_features(DOORS, clip, "one", None)
    assert features.shape == (4, 48) and features.dtype == np.float32
    np.testing.assert_allclose(features, reference(clip, [word.lower() for word in DOORS]), atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 0.01
    again = text_features(["push", "glass  Door", "push"], clip, "one", None)
    np.testing.assert_allclose(again, features[[3, 0, 3]], atol=1e-5)


def test_a_word_longer_than_clips_context_is_cut_as_the_tokenizer_cuts_it(clip: Path) -> None:
    long = "glass door " * 60
    np.testing.assert_allclose(
        text_features([long, "push"], clip, "one", None)[0], reference(clip, [long])[0], atol=1e-5
    )


def test_what_was_read_once_is_read_from_the_cache_without_a_clip(clip: Path, tmp_path: Path) -> None:
    first = text_features(DOORS, clip, "one", tmp_path / "cache")
    again = text_features(DOORS[::-1], tmp_path / "no clip here", "one", tmp_path / "cache")
    assert again.tobytes() == first[::-1].tobytes()
    (file,) = (tmp_path / "cache").iterdir()  # and nothing half-written beside it
    with pytest.raises(ModelError):
        text_features(DOORS, tmp_path / "no clip here", "another digest", tmp_path / "cache")
    with pytest.raises(ModelError):
        text_features([*DOORS, "bottle"], tmp_path / "no clip here", "one", tmp_path / "cache")
    assert file.name.startswith("words_") and file.suffix == ".npz"


def test_a_damaged_cache_file_is_made_again(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = text_features(DOORS, clip, "one", tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1  # one bit of one number
    plain = np.ones((4, 48), np.float32).tobytes()
    for damaged in (bytes(flipped), good[: len(good) // 2], b"", plain, pickle.dumps(DOORS)):
        file.write_bytes(damaged)
        caplog.clear()
        assert text_features(DOORS, clip, "one", tmp_path).tobytes() == whole.tobytes()
        assert "damaged" in caplog.text
        assert file.read_bytes() == good
    np.savez(file, features=np.ones((3, 48), np.float32))
    assert text_features(DOORS, clip, "one", tmp_path).tobytes() == whole.tobytes()


def test_a_cache_whose_place_is_a_file_costs_a_warning_only(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert text_features(DOORS, clip, "one", tmp_path / "cache").shape == (4, 48)
    assert "cannot be written" in caplog.text


def test_ten_thousand_words_are_read_in_batches_and_a_few_of_them_agree_with_the_reference(
    clip: Path, tmp_path: Path
) -> None:
    many = [f"door {number}" for number in range(10_000)]
    features = text_features(many, clip, "one", tmp_path)
    assert features.shape == (10_000, 48)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    some = [0, 999, 5_000, 9_999]
    np.testing.assert_allclose(features[some], reference(clip, [many[place] for place in some]), atol=1e-5)


def test_no_words_give_no_rows(tmp_path: Path) -> None:
    assert text_features([], tmp_path, "one", tmp_path).shape == (0, 0)


def test_a_clip_in_a_bin_file_is_read_as_weights_and_never_as_code(clip: Path, tmp_path: Path) -> None:
    """As OpenAI's ViT-B/32 is published."""
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(clip, tmp_path / "clip")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    expected = text_features(DOORS, clip, "one", None)
    assert text_features(DOORS, folder, "one", None).tobytes() == expected.tobytes()

    mark = tmp_path / "was here"
    torch.save({"weight": Evil(mark)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        text_features(DOORS, folder, "one", None)
    assert "\n" not in str(caught.value) and not mark.exists()


class Evil:
    """Unpickling it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_folders_that_hold_no_clip_are_named_in_one_line(clip: Path, tmp_path: Path) -> None:
    tiny_models.write("dinov2", tmp_path / "dino")
    cut = shutil.copytree(clip, tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((clip / "model.safetensors").read_bytes()[:-100])
    bare = shutil.copytree(clip, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    (tmp_path / "empty").mkdir()
    for name, message in {
        "dino": "must be a CLIP, this is dinov2",
        "cut": "cut short",
        "bare": "no .safetensors",
        "empty": "must be a CLIP folder",
        "nowhere": "must be a CLIP folder",
    }.items():
        with pytest.raises(ModelError, match=message) as caught:
            text_features(DOORS, tmp_path / name, name, None)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_two_who_read_the_same_words_leave_one_whole_file(clip: Path, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: text_features(DOORS, clip, "one", tmp_path), range(2))
    (file,) = tmp_path.iterdir()
    assert zipfile.ZipFile(file).testzip() is None
    assert one.tobytes() == other.tobytes() == words._remembered(file, 4)[[1, 0, 2, 3]].tobytes()  # type: ignore[index]
