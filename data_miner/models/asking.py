"""What detectors that are asked in words share: their words, batches of pictures, picking boxes. No architecture."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_miner.errors import ModelError
from data_miner.models.base import Rgb, inference
from data_miner.models.transformers_folder import load, naming
from data_miner.records import Box

SMALLEST_SIDE_PX = 1.0  # what lies in OWLv2's padding is clipped to nothing; thinner than a pixel shows no object


class Word(NamedTuple):
    """What the detector is asked for, and what the project calls it."""

    phrase: str  # as the model reads it
    label: str  # a class of the project
    word: str  # as the project spells it


class Answer(NamedTuple):
    """Candidates of a batch of B pictures, Q each (tensors): the best word of each, where, and how sure."""

    scores: Any  # (B, Q), 0 to 1
    words: Any  # (B, Q) index into the words
    boxes: Any  # (B, Q, 4) xyxy px


class AskedDetector(ABC):
    """A transformers detector that is asked in words; see models.base.Detector.

    A candidate box takes its best word alone, as transformers' own post-processing does. Boxes of one class that
    overlap by more than `iou` are one. A subclass says how words are read and how pictures are answered.
    """

    def __init__(
        self,
        path: Path,
        digest: str,
        *,
        classes: Mapping[str, Sequence[str]],
        imgsz: int,
        iou: float,
        max_det: int,
        floor: float,
        device: str,
        threads: int,
        batch: int,
    ) -> None:
        import torch

        self.digest = digest
        self._path, self._device, self._batch = path, device, max(1, batch)
        self._iou, self._max_det, self._floor = iou, max_det, floor
        self._words = words_of(classes, self._phrase, path)
        self._labels = {label: index for index, label in enumerate(classes)}
        self._dtype = torch.float16 if device.startswith("cuda") else torch.float32
        torch.set_num_threads(max(1, threads))
        parts = ("AutoModelForZeroShotObjectDetection", "AutoImageProcessor", "AutoTokenizer")
        self._model, self._pictures, self._reader = load(path, *parts, dtype=self._dtype, device=device)
        with naming(path, "cannot be asked"), torch.inference_mode():
            self._prepare(imgsz)

    def detect(self, rgb: Sequence[Rgb]) -> list[list[Box]]:
        """See Detector.detect."""
        import torch

        if len({picture.shape for picture in rgb}) > 1:
            raise ValueError("pictures of one call must have one size")
        found: list[list[Box]] = []
        for start in range(0, len(rgb), self._batch):
            # torch takes no reversed views
            whole = [np.ascontiguousarray(picture) for picture in rgb[start : start + self._batch]]
            with inference(self._path.name), torch.inference_mode():
                found.extend(self._detect(whole))
        return found

    def close(self) -> None:
        """See Detector.close."""
        self._model = None

    @abstractmethod
    def _phrase(self, word: str) -> str:
        """The word as the model reads it; empty when nothing of it is left."""

    @abstractmethod
    def _prepare(self, imgsz: int) -> None:
        """Do once what depends on the words and the picture size alone."""

    @abstractmethod
    def _answers(self, rgb: list[Rgb]) -> Iterator[Answer]:
        """Ask for all words, in one pass or several."""

    def _inputs(self, rgb: list[Rgb], **settings: Any) -> dict[str, Any]:
        inputs = self._pictures(images=rgb, return_tensors="pt", input_data_format="channels_last", **settings)
        return {
            key: value.to(self._device, self._dtype) if value.is_floating_point() else value.to(self._device)
            for key, value in inputs.items()
        }

    def _detect(self, rgb: list[Rgb]) -> list[list[Box]]:
        """Only what reaches the floor is kept between passes: 10,000 words make 100,000 candidates a picture."""
        import torch

        kept: list[list[tuple[Any, Any, Any]]] = [[] for _ in rgb]
        for answer in self._answers(rgb):
            for index, (scores, words, boxes) in enumerate(zip(*answer, strict=True)):
                high = scores >= self._floor
                kept[index].append((scores[high].float().cpu(), words[high].cpu(), boxes[high].float().cpu()))
        height, width = rgb[0].shape[:2]
        together = [[torch.cat(parts) for parts in zip(*one, strict=True)] for one in kept]
        return [self._pick(*one, width=width, height=height) for one in together]

    def _pick(self, scores: Any, words: Any, boxes: Any, *, width: int, height: int) -> list[Box]:
        """Clip to the picture, suppress within each class, keep the best."""
        import torch
        from torchvision.ops import batched_nms

        limits = torch.tensor([width, height, width, height], dtype=boxes.dtype)
        boxes = torch.minimum(boxes.clamp(min=0), limits)
        inside = ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST_SIDE_PX).all(dim=1)
        scores, words, boxes = scores[inside], words[inside], boxes[inside]
        labels = torch.tensor([self._labels[self._words[index].label] for index in words.tolist()], dtype=torch.long)
        best = batched_nms(boxes, scores, labels, self._iou)[: self._max_det].tolist()
        found = []
        for index in best:
            _, label, word = self._words[int(words[index])]
            left, top, right, bottom = boxes[index].tolist()
            found.append(Box(label, float(scores[index]), (left, top, right, bottom), word))
        return sorted(found, key=lambda box: (-box.score, box.xyxy))


def words_of(classes: Mapping[str, Sequence[str]], read: Callable[[str], str], path: Path) -> list[Word]:
    """All words of all classes, each phrase once. Raises ModelError for what the model could not tell apart."""
    words: dict[str, Word] = {}
    for label, spelled in classes.items():
        for word in spelled or [label]:
            phrase = read(word)
            if not phrase:
                raise ModelError(
                    f'{path}: classes.{label}: there is nothing to read in "{word}"; name what to look for'
                )
            other = words.setdefault(phrase, Word(phrase, label, word))
            if other.label != label:
                raise ModelError(f'{path}: "{other.word}" and "{word}" read the same to this model; keep one of them')
    if not words:
        raise ModelError(f"{path}: classes: empty; name at least one for the detector to look for")
    return list(words.values())


def corners(boxes: Any) -> Any:
    """(…, 4) center x, center y, width, height -> xyxy."""
    import torch

    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([center - half, center + half], dim=-1)
