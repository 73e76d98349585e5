"""A project's models tried on pictures: the numbers a run would store and the verdicts it would give. No ledger.

Files are read here too; what a person sees of it is `try_`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from math import ceil
from pathlib import Path
from types import TracebackType

import numpy as np

from data_miner.config.schema import STORED_FROM_SCORE, ProjectConfig
from data_miner.config.verdict import Failure, Numbers, judge, stands
from data_miner.errors import NeverError
from data_miner.media import jpeg
from data_miner.media.probe import probe
from data_miner.media.quality import measure
from data_miner.media.reader import SegmentReader
from data_miner.media.sampling import Cut, Sampling
from data_miner.media.still import read_still, scaled
from data_miner.models import registry
from data_miner.models.base import Detector, Rgb, Vectors
from data_miner.models.batching import halving
from data_miner.models.voting import Found, floor_of, standing
from data_miner.records import Box, MediaInfo
from data_miner.sources.local import VIDEO_EXTENSIONS

_LISTS = ("positive", "negative", "junk")
_AT_ONCE = 16  # pictures of a video in memory
_LONG = 4  # times as many pictures as are wanted: from there on seeking is cheaper than decoding all


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture as the pipeline would take it."""

    file: str
    pts_ms: int | None  # of a video
    rgb: Rgb  # scaled down to max_side, as it would be stored
    measured: Rgb  # before it became a JPEG
    scale: float = 1.0  # px of the file to one px here


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a picture. Boxes in px of the file (of a video: as it would be stored), best first."""

    file: str
    pts_ms: int | None
    numbers: Numbers
    prompts: Mapping[str, str]  # of the best score of each list
    failure: Failure | None
    boxes: Sequence[Box]


def taken_from(path: Path, config: ProjectConfig, most: int, threads: int) -> Iterator[Taken]:
    """The picture, or at most `most` pictures of the video, evenly spread over it. Raises NeverError, OSError."""
    if path.suffix.lower().lstrip(".") in VIDEO_EXTENSIONS:
        yield from _of_video(path, config, most, threads)
        return
    try:
        rgb = read_still(path)
    except NeverError:
        try:
            yield from _of_video(path, config, most, threads)
        except NeverError:
            raise NeverError("unreadable", "neither a picture nor a video of a known format") from None
        return
    small = scaled(rgb, config.extract.max_side)
    yield Taken(str(path), None, small, small, rgb.shape[1] / small.shape[1])


def _of_video(path: Path, config: ProjectConfig, most: int, threads: int) -> Iterator[Taken]:
    own, media = config.extract, probe(path)
    sampling = Sampling(own.strategy, Fraction(str(own.fps)), own.scene_threshold)
    for cut in _cuts(media, sampling, most):
        for picture in SegmentReader(path, sampling, cut, media.first_pts_ms, max_side=own.max_side, threads=threads):
            # Models see what is stored, and that went through JPEG.
            stored = jpeg.decode(jpeg.encode(picture.rgb, own.quality))
            yield Taken(str(path), picture.pts_ms, stored, picture.rgb)


def _cuts(media: MediaInfo, sampling: Sampling, most: int) -> list[Cut]:
    """Where to look: the whole video, or, when it is long, a slice around each picture: the rest is not decoded."""
    first_ms, end_ms = media.first_pts_ms, media.first_pts_ms + media.duration_ms
    step_ms = ceil(1000 * sampling.step_s)
    if sampling.strategy != "interval" or media.duration_ms <= _LONG * most * step_ms:
        return [Cut(first_ms, end_ms, most)]
    starts = range(first_ms, end_ms, -(-media.duration_ms // most))
    return [Cut(start_ms, min(start_ms + step_ms, end_ms), 1) for start_ms in starts]


class Trial:
    """The project's models, loaded once. `with` gives their memory back."""

    def __init__(self, config: ProjectConfig, models: Sequence[Path], device: str, threads: int) -> None:
        """Load what the project names, once all of it was found. Raises ModelError."""
        own = config.filter
        scorer = registry.check(own.model, "filter", models) if own.model else None
        detectors = [_Asked.of(name, config, models) for name in config.detect.detectors]
        self._config = config
        self._scorer = registry.open_scorer(scorer, device, threads) if scorer else None
        self._detectors = [
            (one.ref.name, floor_of(one.ref.kind), one.open(config, device, threads)) for one in detectors
        ]
        self._labels = {word.lower(): label for label, words in config.classes.items() for word in words}
        self._words: dict[str, tuple[Sequence[str], Vectors]] = {}
        for kind in _LISTS if self._scorer else ():
            if (words := getattr(own, kind)) and self._scorer:
                self._words[kind] = words, self._scorer.embed_texts(words)

    def __enter__(self) -> "Trial":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for model in [self._scorer, *(detector for _, _, detector in self._detectors)]:
            if model is not None:
                model.close()

    def judge(self, pictures: Iterator[Taken]) -> Iterator[Tried]:
        """Score and detect pictures of one size, one after the other. Raises SmallerError, NeverError."""
        while batch := list(islice(pictures, _AT_ONCE)):
            scored = self._scores(batch)
            for taken, (scores, prompts), boxes in zip(batch, scored, self._boxes(batch), strict=True):
                height, width = taken.rgb.shape[:2]
                quality = measure(taken.measured)
                seen = Numbers(width, height, quality.brightness, quality.contrast, quality.sharpness, **scores)
                found = [_enlarged(box, taken.scale) for box in boxes]
                yield Tried(taken.file, taken.pts_ms, seen, prompts, judge(self._config.filter, seen), found)

    def _scores(self, batch: Sequence[Taken]) -> list[tuple[dict[str, float], dict[str, str]]]:
        found: list[tuple[dict[str, float], dict[str, str]]] = [({}, {}) for _ in batch]
        if (scorer := self._scorer) is None:
            return found
        runs = halving(
            [taken.rgb for taken in batch], self._config.filter.batch, lambda rgb: list(scorer.embed_images(rgb))
        )
        vectors = np.stack([vector for _, part in runs for vector in part])
        for kind, (words, texts) in self._words.items():
            matrix = scorer.scores(vectors, texts)
            for (scores, prompts), row, best in zip(found, matrix, matrix.argmax(axis=1), strict=True):
                scores[kind], prompts[kind] = float(row[best]), words[best]
        return found

    def _boxes(self, batch: Sequence[Taken]) -> list[list[Box]]:
        own, rgb = self._config.detect, [taken.rgb for taken in batch]
        seen: list[list[Found]] = [[] for _ in rgb]
        for name, floor, detector in self._detectors:
            parts = [boxes for _, part in halving(rgb, own.batch, detector.detect) for boxes in part]
            for found, boxes in zip(seen, parts, strict=True):
                found.append(Found(name, floor, [replace(box, prompt=box.label) for box in boxes]))
        return [
            [
                box
                for box in self._standing(found)
                if stands(own, box.score, box.xyxy, picture.shape[1::-1], agreement=box.agreement)
            ]
            for picture, found in zip(rgb, seen, strict=True)
        ]

    def _standing(self, found: Sequence[Found]) -> Sequence[Box]:
        """As the stage has it: where every class is one word and one detector looks, nothing is merged."""
        own = self._config.detect
        if not found:
            return []
        if len(found) == 1 and len(self._labels) == len(self._config.classes):
            return [replace(box, label=self._labels[box.prompt]) for box in found[0].boxes]
        return standing(found, self._labels, iou=own.iou, most_per_class=own.max_det, may_overlap=own.may_overlap)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A detector that is on this machine, and the model that reads its words if it needs one."""

    ref: registry.ModelRef
    text: registry.ModelRef | None

    @classmethod
    def of(cls, name: str, config: ProjectConfig, models: Sequence[Path]) -> "_Asked":
        ref = registry.check(name, "detect", models)
        text = registry.check(config.detect.text_model, "text", models) if registry.needs_text(ref) else None
        return cls(ref, text)

    def open(self, config: ProjectConfig, device: str, threads: int) -> Detector:
        """Load it, asked for all words as a run would."""
        own, words = config.detect, {word.lower() for words in config.classes.values() for word in words}
        return registry.open_detector(
            self.ref,
            classes={word: [word] for word in sorted(words)},
            imgsz=own.imgsz,
            iou=own.iou,
            max_det=own.max_det,
            floor=STORED_FROM_SCORE,
            device=device,
            threads=threads,
            batch=own.batch,
            text=self.text,
        )


def _enlarged(box: Box, scale: float) -> Box:
    x1, y1, x2, y2 = (value * scale for value in box.xyxy)
    return replace(box, xyxy=(x1, y1, x2, y2))
