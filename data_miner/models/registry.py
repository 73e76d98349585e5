"""Which model a name means, where its files lie and what digest they have; opens it by its kind."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_miner.errors import ModelError
from data_miner.models import pulled, roles
from data_miner.models.base import Detector, Embedder, ImageTextScorer
from data_miner.models.pt_file import checkpoint_kind
from data_miner.models.roles import KINDS, ROLES

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PUBLISHED = re.compile(r"(yolov?\d+|yoloe-|yolo_nas|rtdetr)[\w.-]*\.pt")  # weights that Ultralytics names
NOT_WEIGHTS = {".md", ".txt~", ".lock", ".png", ".jpg"}  # a changed model card is no changed model


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model found on this machine. `path` is a file or a folder."""

    name: str  # as the project names it
    kind: str  # a key of roles.KINDS
    path: Path
    revision: str | None = None  # "repo@commit" when it was pulled or lies in the Hugging Face cache


def check(name: str, role: str, search: Sequence[Path] = ()) -> ModelRef:
    """Find a model without opening it: a file or folder, or a name in the local Hugging Face cache.

    Relative paths are tried below each folder of `search`, then below the working directory. role: a key of
    ROLES, or text for the CLIP of detect.text_model. Raises ModelError, one line, when it is nowhere, empty, or of
    the wrong kind.
    """
    ref = find(name, search)
    if ref is None:
        places = ", ".join(str(place) for place in (*search, Path.cwd()))
        cache = " nor in the Hugging Face cache" if REPOSITORY.fullmatch(name) else ""
        raise ModelError(
            f"{name}: no such model in {places}{cache}; put its file or folder there or name one that is here"
        )
    roles.require(ref.kind, ref.path, role)
    return ref


def find(name: str, search: Sequence[Path] = ()) -> ModelRef | None:
    """Look where check() looks; None when it is nowhere. Raises ModelError for what is there and no model."""
    return _on_disk(name, search) or _in_cache(name)


def is_published(name: str) -> bool:
    """Is this the name of a repository or of Ultralytics' weights, which may still come, rather than a path?"""
    if REPOSITORY.fullmatch(name):
        return not name.endswith((".pt", "_openvino_model"))
    return _PUBLISHED.fullmatch(name) is not None


def digest(ref: ModelRef) -> str:
    """ "repo@commit" of a cached model, else "sha256:…" over its weights and settings."""
    if ref.revision is not None:
        return ref.revision
    if ref.path.is_file():
        return f"sha256:{_sha256(*_identity(ref.path))}"
    whole = hashlib.sha256()
    for file in sorted(ref.path.iterdir()):
        if file.is_file() and file.suffix not in NOT_WEIGHTS and not file.name.startswith("."):
            whole.update(f"{file.name}\0{_sha256(*_identity(file))}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def open_detector(
    ref: ModelRef,
    *,
    classes: Mapping[str, Sequence[str]],
    imgsz: int,
    iou: float = 0.7,
    max_det: int = 300,
    floor: float = 0.05,
    device: str = "cpu",
    threads: int = 1,
    batch: int = 1,
    text: ModelRef | None = None,
    cache: Path | None = None,
) -> Detector:
    """Load a detector. Names are Ultralytics'; `classes` maps a class of the project to the detector's words.

    floor: lowest score that is returned. batch: pictures in one forward pass at most. text: the CLIP that reads
    the words where `needs_text` says so; what it made of them is kept in `cache`. Raises ModelError.
    """
    opener = _DETECTORS.get(ref.kind)
    if opener is None:
        raise ModelError(f"{ref.path}: a {ref.kind} model finds no boxes; detect.model must be {ROLES['detect']}")
    settings: dict[str, Any] = {"classes": classes, "imgsz": imgsz, "iou": iou, "max_det": max_det, "floor": floor}
    if needs_text(ref):
        settings.update(text=text, cache=cache)
    return opener(ref, **settings, device=device, threads=threads, batch=batch)


def needs_text(ref: ModelRef) -> bool:
    """Does this detector need another model to read its words?"""
    return ref.kind in ("yolo-world", "yoloe")


def open_embedder(
    ref: ModelRef, *, pooling: str = "pooled", device: str = "cpu", threads: int = 1, batch: int = 16
) -> Embedder:
    """Load an image embedder. pooling: pooled or mean. batch: pictures in one forward pass at most. ModelError."""
    from data_miner.models.dino import TransformersEmbedder

    return TransformersEmbedder(ref.path, digest(ref), pooling=pooling, device=device, threads=threads, batch=batch)


def open_scorer(ref: ModelRef, device: str = "cpu", threads: int = 1, batch: int = 16) -> ImageTextScorer:
    """Load an image-text scorer. batch: pictures in one forward pass at most. Raises ModelError."""
    opener = _SCORERS.get(ref.kind)
    if opener is None:
        raise ModelError(f"{ref.path}: a {ref.kind} model reads no text; filter.model must be {ROLES['filter']}")
    return opener(ref, device=device, threads=threads, batch=batch)


def _yolo(ref: ModelRef, **settings: Any) -> Detector:
    from data_miner.models.yolo import YoloDetector

    return YoloDetector(ref.path, digest(ref), **settings)


def _open_yolo(ref: ModelRef, *, text: ModelRef | None, **settings: Any) -> Detector:
    from data_miner.models.yolo_words import OpenYoloDetector

    if text is None:
        raise ModelError(f"{ref.path}: detect.text_model is empty, and this model needs a CLIP to read its words")
    return OpenYoloDetector(ref.path, digest(ref), text=text.path, text_digest=digest(text), **settings)


def _grounding(ref: ModelRef, **settings: Any) -> Detector:
    from data_miner.models.grounding import GroundingDetector

    return GroundingDetector(ref.path, digest(ref), **settings)


def _owl(ref: ModelRef, **settings: Any) -> Detector:
    from data_miner.models.owl import OwlDetector

    return OwlDetector(ref.path, digest(ref), **settings)


def _siglip(ref: ModelRef, **settings: Any) -> ImageTextScorer:
    from data_miner.models.siglip import TransformersScorer

    return TransformersScorer(ref.path, digest(ref), **settings)


_DETECTORS: dict[str, Callable[..., Detector]] = {
    "yolo": _yolo,
    "openvino": _yolo,
    "yolo-world": _open_yolo,
    "yoloe": _open_yolo,
    "grounding-dino": _grounding,
    "mm-grounding-dino": _grounding,
    "owlv2": _owl,
    "owlvit": _owl,
}
_SCORERS: dict[str, Callable[..., ImageTextScorer]] = {"siglip": _siglip, "siglip2": _siglip, "clip": _siglip}


def _on_disk(name: str, search: Sequence[Path]) -> ModelRef | None:
    wanted = Path(name).expanduser()
    for place in (*search, Path.cwd()):
        path = (place / wanted).absolute()  # an absolute name replaces the place
        if path.exists():
            revision = _pulled_revision(path)
            return ModelRef(name, _kind(path), path, revision)
    return None


def _pulled_revision(path: Path) -> str | None:
    """ "repo@commit" of a folder that was pulled. Raises ModelError when it is not as it was."""
    record = pulled.read(path)
    if record is None:
        return None
    if (fault := pulled.fault(path, record)) is not None:
        raise ModelError(f"{path}: {fault}; `data-miner models pull {record.repository}` repairs it")
    return record.digest


def _in_cache(name: str) -> ModelRef | None:
    """The newest snapshot of a repository that an earlier download left here; the network is never asked.

    Layout: huggingface.co/docs/huggingface_hub/guides/manage-cache. A snapshot that lacks a file is none.
    """
    if not REPOSITORY.fullmatch(name):
        return None
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    try:
        path = folder / "snapshots" / (folder / "refs" / "main").read_text().strip()
    except OSError:
        return None
    if not (path / "config.json").is_file():
        return None
    kind = _kind(path)
    if not pulled.is_whole(path, reads_words=kind in KINDS):
        return None
    return ModelRef(name, kind, path, revision=f"{name}@{path.name}")


def _kind(path: Path) -> str:
    """Tell by its files what a model is; ModelError when it is none."""
    if path.is_file():
        if path.stat().st_size == 0:
            raise ModelError(f"{path}: the file is empty; fetch the weights again")
        if path.suffix != ".pt":
            raise ModelError(f"{path}: not a model file; give a YOLO .pt file, an OpenVINO or a transformers folder")
        return checkpoint_kind(path)
    if (path / "metadata.yaml").is_file() and any(path.glob("*.xml")):
        missing = [file.with_suffix(".bin") for file in path.glob("*.xml") if not file.with_suffix(".bin").is_file()]
        if missing:
            raise ModelError(f"{missing[0]}: missing beside its .xml; export or copy the model again")
        return "openvino"
    if (path / "config.json").is_file():
        try:
            return str(json.loads((path / "config.json").read_text())["model_type"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ModelError(f"{path / 'config.json'}: not a transformers configuration with a model_type") from error
    raise ModelError(f"{path}: not a model folder; it has neither config.json nor an OpenVINO .xml with metadata.yaml")


def _identity(file: Path) -> tuple[Path, int, int]:
    seen = file.stat()
    return file, seen.st_size, seen.st_mtime_ns


@lru_cache(maxsize=256)
def _sha256(file: Path, size_bytes: int, mtime_ns: int) -> str:
    """Hash a file once per process for as long as its size and time stand."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
