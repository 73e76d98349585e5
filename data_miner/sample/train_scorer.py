"""Trains the sample's tiny SigLIP on drawn pictures and their captions, and measures a scorer."""

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from data_miner.models.base import ImageTextScorer
from data_miner.models.siglip import SIGLIP_TEXT_TOKENS
from data_miner.sample.pictures import HELD_OUT_SEED, TRAIN_SEED, Labelled, pictures
from data_miner.sample.prompts import NOTHING, PROMPTS

SIDE_PX = 128
SHARES = {"glass_door": 0.36, "wooden_door": 0.22, "window": 0.2, "corridor": 0.14, "title": 0.08}
TRAIN_PICTURES, EPOCHS, BATCH = 6000, 24, 64
PAD, UNKNOWN = "[PAD]", "[UNK]"


def train_scorer(target: Path, epochs: int = EPOCHS, count: int = TRAIN_PICTURES) -> None:
    """Write model, tokenizer and image processor to the folder, as AutoModel and its kin read them."""
    import torch

    torch.manual_seed(0)
    words, looks = _tokenizer(), _image_processor()
    words.save_pretrained(target)
    looks.save_pretrained(target)
    images, subjects = _training_set(looks, count)
    model = _fresh_model(len(words))
    _fit(model, words, images, subjects, epochs)
    model.half().save_pretrained(target)
    for file in target.iterdir():
        file.chmod(0o644)
    _processor_config(target)


def _tokenizer() -> Any:
    """Whole words of the prompts, lower-cased, in alphabetical order; everything else is one unknown word."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = sorted(
        {word for texts in (*PROMPTS.values(), NOTHING) for word in re.findall(r"\w+", " ".join(texts))}
    )
    vocabulary = {word: index for index, word in enumerate((PAD, UNKNOWN, *known))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, model_max_length=SIGLIP_TEXT_TOKENS
    )


def _image_processor() -> Any:
    from transformers import SiglipImageProcessor

    return SiglipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})


def _processor_config(target: Path) -> None:
    """What AutoProcessor needs to pair the two, as Google's SigLIP folders have it."""
    import json

    path = target / "processor_config.json"
    path.write_text(json.dumps({"processor_class": "SiglipProcessor"}) + "\n")


def _fresh_model(words: int) -> Any:
    from transformers import SiglipConfig, SiglipModel

    text = {
        "vocab_size": words,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": SIGLIP_TEXT_TOKENS,
        "projection_size": 128,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    vision = {
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": SIDE_PX,
        "patch_size": 16,
    }
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    model.logit_scale.data.fill_(math.log(10))
    model.logit_bias.data.fill_(-4.0)
    return model


def _training_set(looks: Any, count: int) -> tuple[Any, list[str]]:
    """Pictures as the processor makes them, uint8 (N, 3, side, side) to save memory, and their subjects."""
    import torch

    tensors, subjects = [], []
    for one in pictures(TRAIN_SEED + 2, count, SHARES):
        if one.subject is None:
            continue
        pixels = looks(images=[one.bgr[:, :, ::-1].copy()], return_tensors="pt")["pixel_values"][0]
        tensors.append((pixels * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8))
        subjects.append(one.subject)
    return torch.stack(tensors), subjects


def _fit(model: Any, words: Any, images: Any, subjects: list[str], epochs: int) -> None:
    import torch

    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.2e-3, total_steps=steps, pct_start=0.08)
    model.train()
    for _ in range(epochs):
        order, losses = rng.permutation(len(images)), []
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            texts, owners = _captions(rng)
            truth = torch.tensor([[subjects[k] == owner for owner in owners] for k in chosen])
            loss = _loss(model, _augmented(images[chosen], rng), _encode(words, texts), truth)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"loss {np.mean(losses):.4f}", flush=True)
    model.eval()


def _loss(model: Any, pixels: Any, tokens: Any, truth: Any) -> Any:
    """SigLIP's: every pair of picture and text is a yes or no of its own (arXiv:2303.15343)."""
    import torch

    output = model(pixel_values=pixels, input_ids=tokens)
    signs = truth.float() * 2 - 1
    return -torch.nn.functional.logsigmoid(signs * output.logits_per_image).sum(dim=1).mean()


def _captions(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Two texts of each subject and three that are never true, one of them of unknown words."""
    texts, owners = [], []
    for subject, known in PROMPTS.items():
        for text in rng.choice(known, 2, replace=False):
            texts.append(str(text))
            owners.append(subject)
    for text in rng.choice(NOTHING, 3, replace=False):
        texts.append(str(text))
        owners.append("")
    texts[-1] = " ".join(UNKNOWN if rng.random() < 0.6 else word for word in texts[-1].split())
    return texts, owners


def _encode(words: Any, texts: list[str]) -> Any:
    return words(texts, padding="max_length", max_length=SIGLIP_TEXT_TOKENS, return_tensors="pt")["input_ids"]


def _augmented(images: Any, rng: np.random.Generator) -> Any:
    """Mirrored, shifted by up to 8 px, brighter or darker, with other contrast; float from -1 to 1."""
    import torch

    pixels = images.float() / 127.5 - 1
    if rng.random() < 0.5:
        pixels = pixels.flip(3)
    shift = [int(value) for value in rng.integers(-8, 9, 2)]
    pixels = torch.roll(torch.nn.functional.pad(pixels, (8, 8, 8, 8), mode="reflect"), shift, dims=(2, 3))
    pixels = pixels[:, :, 8:-8, 8:-8]
    gains = torch.from_numpy(rng.uniform(0.8, 1.2, (len(pixels), 3, 1, 1)).astype(np.float32))
    lifts = torch.from_numpy(rng.uniform(-0.15, 0.15, (len(pixels), 3, 1, 1)).astype(np.float32))
    return (pixels * gains + lifts).clamp(-1, 1)


POSITIVE = ("a glass door in a building", "an automatic sliding glass door")
NEGATIVE = ("a wooden door", "a window", "an empty corridor")
JUNK = ("a title screen with text", "a cartoon")


def passes(scores: np.ndarray[Any, np.dtype[np.float32]]) -> bool:
    """The filter's rule with its default thresholds, for scores of (*POSITIVE, *NEGATIVE, *JUNK)."""
    positive = float(scores[:2].max())
    negative, junk = float(scores[2:5].max()), float(scores[5:].max())
    return (
        positive > 0.3
        and negative < 0.3
        and positive - negative > 0.1
        and junk < 0.3
        and positive - junk > 0.1
    )


def measure_scorer(scorer: ImageTextScorer, count: int = 600) -> dict[str, Any]:
    """How the filter's rule decides on held-out pictures: precision, recall, and wrong ones by subject."""
    shown: list[Labelled] = [
        one for one in pictures(HELD_OUT_SEED + 1, count, SHARES) if one.subject is not None
    ]
    images = scorer.embed_images([one.bgr[:, :, ::-1].copy() for one in shown])
    scores = scorer.scores(images, scorer.embed_texts((*POSITIVE, *NEGATIVE, *JUNK)))
    passed = np.array([passes(row) for row in scores])
    doors = np.array([one.subject == "glass_door" for one in shown])
    wrong = Counter(
        one.subject for one, taken, door in zip(shown, passed, doors, strict=True) if taken != door
    )
    return {
        "precision": float((passed & doors).sum() / max(1, passed.sum())),
        "recall": float((passed & doors).sum() / max(1, doors.sum())),
        "pictures": len(shown),
        "wrong": dict(sorted(wrong.items(), key=lambda item: str(item[0]))),
    }
