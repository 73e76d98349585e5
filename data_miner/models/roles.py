"""Which kinds of models can play which part in a pipeline; nothing is looked for or loaded here."""

from pathlib import Path

from data_miner.errors import ModelError

ROLES = {"detect": "a detector", "filter": "an image-text scorer", "dedup": "an image embedder"}
KINDS: dict[str, str] = {  # kind -> role; what a config.json calls model_type is a kind of its own
    "yolo": "detect",
    "yolo-world": "detect",
    "yoloe": "detect",
    "openvino": "detect",
    "grounding-dino": "detect",
    "mm-grounding-dino": "detect",
    "owlv2": "detect",
    "owlvit": "detect",
    "siglip": "filter",
    "siglip2": "filter",
    "clip": "filter",
}


def require(kind: str, path: Path, role: str) -> None:
    """Raise ModelError, one line, unless a model of this kind can play the role: a key of ROLES, or text.

    text is the CLIP of detect.text_model. As dedup any transformers backbone will do that looks at pictures.
    """
    if role == "text":
        _require_clip(kind, path)
    elif role == "dedup" and KINDS.get(kind) != "detect":
        _require_backbone(kind, path)
    elif kind not in KINDS:
        known = ", ".join(kind for kind, own in KINDS.items() if own == role)
        raise ModelError(f"{path}: models of kind {kind} are not supported as {role}.model; known: {known}")
    elif KINDS[kind] != role:
        raise ModelError(f"{path}: this is {ROLES[KINDS[kind]]} ({kind}), but {role}.model must be {ROLES[role]}")


def _require_backbone(kind: str, path: Path) -> None:
    """Of those that look at pictures, only timm's have no file that says how to."""
    says_how = ("preprocessor_config.json", "processor_config.json")
    if kind != "timm_wrapper" and not any((path / name).is_file() for name in says_how):
        raise ModelError(
            f"{path}: no {says_how[0]}, so a {kind} that does not look at pictures; dedup.model must be "
            f"{ROLES['dedup']} such as DINOv2"
        )


def _require_clip(kind: str, path: Path) -> None:
    if kind not in ("clip", "clip_text_model"):
        raise ModelError(f"{path}: detect.text_model must be a CLIP, this is {kind}; YOLO-World wants its ViT-B/32")
