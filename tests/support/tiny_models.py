"""Real transformers architectures of random weights and a few kilobytes, in folders laid out as published ones are.

What is tested with them is how a model is loaded, called and read, not what it knows.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

WORDS = ("a", "glass", "door", "wooden", "sliding", "revolving", "handle", "person", "bottle", "in", "building", "push")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
CLIP_MEAN = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_DETR = {"layers": 2, "ffn_dim": 64, "attention_heads": 4, "n_points": 2}
_BERT_IDS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}


def write(kind: str, folder: Path, **settings: Any) -> Path:
    """Write the model that `kind` (a key of KINDS) names into a folder, which is made; the same bytes every time."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        KINDS[kind](folder, **settings)
    return folder


def clip(folder: Path, width: int = 16) -> None:
    """CLIP; pictures and words become vectors of so many numbers."""
    from transformers import CLIPConfig, CLIPModel

    vision = {**_SMALL, "image_size": 64, "patch_size": 16}
    config = CLIPConfig(text_config={**_SMALL, **clip_tokenizer(folder)}, vision_config=vision, projection_dim=width)
    CLIPModel(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    _preprocessor(folder, image_processor_type="CLIPImageProcessor", do_center_crop=True, **size, **CLIP_MEAN)


def dinov2(folder: Path, registers: int = 0) -> None:
    """DINOv2, with register tokens when there are to be some."""
    import transformers

    sizes = {**_SMALL, "image_size": 56, "patch_size": 14}
    if registers:
        config = transformers.Dinov2WithRegistersConfig(**sizes, num_register_tokens=registers)
        transformers.Dinov2WithRegistersModel(config).save_pretrained(folder)
    else:
        transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}}
    _preprocessor(folder, image_processor_type="BitImageProcessor", do_center_crop=True, **size)


def vit(folder: Path) -> None:
    """ViT, with a pooler of its own as google/vit-base-patch16-224-in21k has."""
    from transformers import ViTConfig, ViTModel

    ViTModel(ViTConfig(**_SMALL, image_size=64, patch_size=16)).save_pretrained(folder)
    _preprocessor(folder, image_processor_type="ViTImageProcessor", size={"height": 64, "width": 64})


def resnet(folder: Path) -> None:
    """ResNet: a backbone without tokens."""
    from transformers import ResNetConfig, ResNetModel

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 64}, "crop_pct": 0.875}
    _preprocessor(folder, image_processor_type="ConvNextImageProcessor", **size)


def convnext(folder: Path) -> None:
    """ConvNeXt."""
    from transformers import ConvNextConfig, ConvNextModel

    ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 64}, "crop_pct": 0.875}
    _preprocessor(folder, image_processor_type="ConvNextImageProcessor", **size)


def grounding_dino(folder: Path, multimodal: bool = False) -> None:
    """Grounding DINO, or MM Grounding DINO, with a Swin and a BERT as in the published ones."""
    import torch
    import transformers

    swin = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "image_size": 64}
    family = "MMGroundingDino" if multimodal else "GroundingDino"
    config = getattr(transformers, f"{family}Config")(
        backbone_config=transformers.SwinConfig(**swin, out_indices=[2, 3, 4]),
        text_config=transformers.BertConfig(**_SMALL, **bert_tokenizer(folder)),
        d_model=64,
        num_queries=40,
        **{f"{half}_{name}": size for half in ("encoder", "decoder") for name, size in _DETR.items()},
    )
    model = getattr(transformers, f"{family}ForObjectDetection")(config)
    for name, weight in model.named_parameters():
        if "bbox_embed" in name and "layers.2.weight" in name:
            torch.nn.init.normal_(weight, std=0.05)  # born as zeros: boxes would not depend on what is seen
        elif name == "model.decoder.layer_norm.weight":
            weight.data.mul_(4 if multimodal else 0.15)  # scores all over 0 to 1
    model.save_pretrained(folder)
    size = {"shortest_edge": 800, "longest_edge": 1333}
    _preprocessor(folder, image_processor_type="GroundingDinoImageProcessor", size=size)


def owl(folder: Path, kind: str) -> None:
    """OWLv2 (pads pictures to a square) or OWL-ViT (stretches them)."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        text_config={**_SMALL, **clip_tokenizer(folder, length=16)},
        vision_config={**_SMALL, "image_size": 96, "patch_size": 16},
        projection_dim=32,
    )
    model = getattr(transformers, f"{kind}ForObjectDetection")(config)
    model.box_head.dense2.weight.data.mul_(0.05)  # boxes of a few patches, not of nothing or everything
    model.class_head.logit_shift.weight.data.mul_(0.3)  # scores all over 0 to 1
    model.save_pretrained(folder)
    _preprocessor(folder, image_processor_type=f"{kind}ImageProcessor", size={"height": 96, "width": 96}, **CLIP_MEAN)


def bert(folder: Path) -> None:
    """BERT: a model that sees nothing."""
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(**_SMALL, **bert_tokenizer(folder))).save_pretrained(folder)


def clip_tokenizer(folder: Path, length: int = 77) -> dict[str, int]:
    """Write CLIP's tokenizer with whole WORDS and single letters; what its text configuration must say of it."""
    from transformers import CLIPTokenizer

    vocabulary = ["!", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            parts[:2] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                vocabulary.append(parts[0])
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: index for index, token in enumerate(dict.fromkeys(vocabulary))}
    CLIPTokenizer(vocab=ids, merges=merges, model_max_length=length).save_pretrained(folder)
    start, end = ids["<|startoftext|>"], ids["<|endoftext|>"]
    special = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    return {"vocab_size": len(ids), "max_position_embeddings": length, **special}


def bert_tokenizer(folder: Path) -> dict[str, int]:
    """Write BERT's tokenizer with its special tokens where Grounding DINO expects them; its vocab_size."""
    from transformers import BertTokenizer

    tokens = [f"[unused{index}]" for index in range(1100)]
    for token, index in _BERT_IDS.items():
        tokens[index] = token
    tokens += [*WORDS, *(letter for letter in LETTERS if letter not in WORDS), *(f"##{letter}" for letter in LETTERS)]
    ids = {token: index for index, token in enumerate(tokens)}
    BertTokenizer(vocab=ids, model_max_length=512).save_pretrained(folder)
    return {"vocab_size": len(ids)}


def _preprocessor(folder: Path, **settings: Any) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2))


KINDS: dict[str, Callable[..., None]] = {
    "clip": clip,
    "dinov2": dinov2,
    "vit": vit,
    "resnet": resnet,
    "convnext": convnext,
    "grounding-dino": grounding_dino,
    "mm-grounding-dino": partial(grounding_dino, multimodal=True),
    "owlv2": partial(owl, kind="Owlv2"),
    "owlvit": partial(owl, kind="OwlViT"),
    "bert": bert,
}
