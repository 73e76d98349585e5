"""YOLO-World and YOLOE: Ultralytics' detectors that are asked in words, which we read with transformers' CLIP.

Ultralytics' own set_classes installs a CLIP from git at run time and is never called. YOLO-World was trained with
OpenAI's CLIP ViT-B/32. Published YOLOE weights were trained with MobileCLIP, which is for research only and not in
transformers 5.23: with a CLIP of the same width they load and run, but how well they find things is unproven.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_miner.errors import ModelError
from data_miner.models.asking import words_of
from data_miner.models.base import Rgb, Vectors
from data_miner.models.pt_file import NETWORKS
from data_miner.models.words import text_features
from data_miner.models.yolo import UltralyticsDetector, load
from data_miner.records import Box

_EVERY_BOX = 100_000  # more than any picture has anchors


class OpenYoloDetector(UltralyticsDetector):
    """An open-vocabulary Ultralytics detector; see models.base.Detector.

    It is asked for all words of all classes at once and, as Ultralytics does, gives each place in the picture its
    best word alone. The words of YOLO-World reach its picture features too: other words, other boxes. text: the
    CLIP's folder; cache: where its vectors are kept.
    """

    def __init__(
        self,
        path: Path,
        digest: str,
        *,
        text: Path,
        text_digest: str,
        cache: Path | None,
        classes: Mapping[str, Sequence[str]],
        imgsz: int,
        iou: float,
        max_det: int,
        floor: float,
        device: str,
        threads: int,
        batch: int,
    ) -> None:
        words = sorted(words_of(classes, _phrase, path))  # their order in the project file moves no bit
        model = load(path)
        _check_takes_words(model, path)
        phrases = [word.phrase for word in words]
        _teach(model, text_features(phrases, text, text_digest, cache, device, threads), path, text)
        self._iou, self._max_det = iou, max_det
        super().__init__(
            path,
            digest,
            model,
            names={place: word.word for place, word in enumerate(words)},
            labels={place: word.label for place, word in enumerate(words)},
            threads=threads,
            batch=batch,
            imgsz=imgsz,
            iou=1.0,  # merged below: Ultralytics moves class k by k * 7680 px, where float32 loses the pixels
            max_det=_EVERY_BOX,
            agnostic_nms=False,  # YOLOE's default is True: one box for all classes
            conf=floor,
            device=device,
        )

    def detect(self, rgb: Sequence[Rgb]) -> list[list[Box]]:
        """See Detector.detect."""
        return [merged(boxes, self._iou)[: self._max_det] for boxes in super().detect(rgb)]


def _phrase(word: str) -> str:
    return " ".join(word.lower().replace("_", " ").split())


def merged(boxes: Sequence[Box], iou: float) -> list[Box]:
    """Without the boxes that a better one of their class overlaps by more than `iou`; best first stays best first."""
    import torch
    from torchvision.ops import nms

    kept: list[Box] = []
    for label in {box.label for box in boxes}:
        own = [box for box in boxes if box.label == label]
        xyxy = torch.tensor([box.xyxy for box in own], dtype=torch.float64)
        scores = torch.tensor([box.score for box in own], dtype=torch.float64)
        kept.extend(own[place] for place in nms(xyxy, scores, iou).tolist())
    return sorted(kept, key=lambda box: (-box.score, box.xyxy))


def _check_takes_words(model: Any, path: Path) -> None:
    """ModelError, one line, for a network of Ultralytics whose words are fixed."""
    network: Any = getattr(model, "model", None)
    if type(network).__name__ not in NETWORKS:
        raise ModelError(f"{path}: {type(network).__name__} is not asked in words; give a YOLO-World or a YOLOE")
    head = network.model[-1]
    if hasattr(head, "lrpc"):
        raise ModelError(f"{path}: a prompt-free YOLOE has a vocabulary of its own; give the weights without -pf")
    if getattr(head, "is_fused", False):
        raise ModelError(f"{path}: words are fused into this YOLOE and cannot change; give its unfused weights")


def _teach(model: Any, features: Vectors, path: Path, text: Path) -> None:
    """Put the words' vectors where the network looks for them: what set_classes does, without its text model.

    Ultralytics' nn/tasks.py: WorldModel.set_classes; YOLOEModel.get_text_pe and set_classes. The network's own names
    are numbers, because Ultralytics reads names such as "n02..." as ImageNet's.
    """
    import torch

    network, head = model.model, model.model.model[-1]
    width = int(head.cv3[0][-1].out_channels)
    if features.shape[1] != width:
        raise ModelError(
            f"{text}: its vectors have {features.shape[1]} numbers but {path.name} takes {width}; "
            "detect.text_model must be the CLIP it was trained with (YOLO-World: openai/clip-vit-base-patch32)"
        )
    vectors = torch.from_numpy(features.copy())[None]
    if NETWORKS[type(network).__name__] == "yolo-world":
        network.txt_feats = vectors
    else:
        _find_boxes_only(model)
        with torch.no_grad():
            network.pe = head.get_tpe(vectors.to(next(network.parameters()).dtype))
    network.names = {place: str(place) for place in range(len(features))}
    head.nc = len(features)


def _find_boxes_only(model: Any) -> None:
    """Make a YOLOE that segments, as all published ones do, a detector with the same boxes.

    Masks would cost 490 MB for 300 boxes at 640 px, and Ultralytics drops a box whose mask is empty.
    """
    network, head = model.model, model.model.model[-1]
    for one, plain in ((network, "YOLOEModel"), (head, "YOLOEDetect")):
        one.__class__ = next(base for base in type(one).__mro__ if base.__name__ == plain)
    for part in ("proto", "cv5", "one2one_cv5"):
        if hasattr(head, part):
            delattr(head, part)
    model.task = model.overrides["task"] = "detect"
