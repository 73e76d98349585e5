"""Words as vectors, read by transformers' CLIP and remembered on disk; no detector and no picture here."""

import json
import logging
import uuid
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_miner.errors import ModelError
from data_miner.models.base import Vectors, inference
from data_miner.models.transformers_folder import check_weights
from data_miner.records import key_of

TEXT_TOKENS = 77  # CLIP's context; longer words are cut, as OpenAI's tokenizer does with truncate=True
_BATCH = 64
_VERSION = 1  # of the recipe below; part of the name of what is remembered

log = logging.getLogger(__name__)


def text_features(
    words: Sequence[str], clip: Path, digest: str, cache: Path | None, device: str = "cpu", threads: int = 1
) -> Vectors:
    """(N, D) vectors of length 1, one a word and in their order: CLIP's text features as Ultralytics computes them.

    Words are read in lower case, as OpenAI's tokenizer does. clip: a transformers folder; digest: names its
    weights. What was read once is kept in `cache`, one file for each set of words: a word then has the same bits
    whatever was asked before, which a file that grows would not promise. Raises ModelError.
    """
    plain = [" ".join(word.lower().split()) for word in words]
    distinct = sorted(set(plain))
    if not distinct:
        return np.zeros((0, 0), np.float32)
    file = cache / f"words_{key_of(version=_VERSION, clip=digest, words=distinct)}.npz" if cache else None
    features = _remembered(file, len(distinct)) if file else None
    if features is None:
        features = _read(distinct, clip, device, threads)
        if file:
            _remember(file, features)
    places = {word: place for place, word in enumerate(distinct)}
    return features[[places[word] for word in plain]]


def _remembered(file: Path, count: int) -> Vectors | None:
    """What the file holds; None when it is not there or damaged (a zip checks its own sums)."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            features = stored["features"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        log.warning("%s is damaged; its words are read again", file)
        return None
    sound = features.dtype == np.float32 and features.ndim == 2 and len(features) == count
    return np.asarray(features, np.float32) if sound else None


def _remember(file: Path, features: Vectors) -> None:
    """Write beside and rename: a reader sees the whole file or none."""
    half_written = file.with_name(f".{file.stem}_{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with half_written.open("wb") as stream:
                np.savez(stream, features=features)
            half_written.replace(file)
        finally:
            half_written.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be written, its words will be read again each time: %s", file, error)


def _read(words: Sequence[str], clip: Path, device: str, threads: int) -> Vectors:
    """Encode with the text half of a CLIP."""
    import torch

    torch.set_num_threads(max(1, threads))
    model, tokenizer = _load(clip, device)
    vectors = []
    with inference(clip.name), torch.inference_mode():
        for start in range(0, len(words), _BATCH):
            part = list(words[start : start + _BATCH])
            inputs = tokenizer(part, padding=True, truncation=True, max_length=TEXT_TOKENS, return_tensors="pt")
            tokens = {name: inputs[name].to(device) for name in ("input_ids", "attention_mask")}
            features = model(**tokens).text_embeds.float()
            vectors.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
    return np.asarray(np.concatenate(vectors), np.float32)


def _load(clip: Path, device: str) -> tuple[Any, Any]:
    """Text tower and tokenizer; ModelError that names the folder.

    OpenAI's own ViT-B/32 on the hub is a pytorch_model.bin without safetensors: read as weights only, never as code.
    """
    _check_is_clip(clip)
    if any(clip.glob("*.safetensors")) or not any(clip.glob("*.bin")):
        check_weights(clip)
    from transformers import AutoConfig, AutoTokenizer, CLIPTextModelWithProjection
    from transformers.utils import logging as talk

    talk.set_verbosity_error()
    talk.disable_progress_bar()
    try:
        whole = AutoConfig.from_pretrained(clip, local_files_only=True)
        config = getattr(whole, "text_config", whole)
        config.projection_dim = whole.projection_dim  # the half's own says 512 whatever the whole has
        model, report = CLIPTextModelWithProjection.from_pretrained(
            clip, config=config, dtype="float32", local_files_only=True, weights_only=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(clip, local_files_only=True)
    except Exception as error:  # transformers raises anything; one line must do
        text = " ".join(str(error).split())
        raise ModelError(f"{clip}: cannot be loaded: {text[:200] or type(error).__name__}") from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(f"{clip}: its weights lack {len(missing)} tensors, the first is {missing[0]}; fetch it again")
    try:
        return model.to(device).eval(), tokenizer
    except Exception as error:
        raise ModelError(f"{clip}: cannot be put on {device}: {' '.join(str(error).split())[:200]}") from error


def _check_is_clip(clip: Path) -> None:
    try:
        kind = json.loads((clip / "config.json").read_text()).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{clip}: detect.text_model must be a CLIP folder with a config.json") from error
    if kind not in ("clip", "clip_text_model"):
        raise ModelError(f"{clip}: detect.text_model must be a CLIP, this is {kind}; YOLO-World wants its ViT-B/32")
