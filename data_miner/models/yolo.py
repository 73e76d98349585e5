"""Ultralytics: any YOLO .pt file or OpenVINO export; ultralytics (AGPL-3.0) is imported here alone.

Words for YOLO-World and YOLOE are not here but in yolo_words.
"""

import difflib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from data_miner.errors import ModelError
from data_miner.models.base import Rgb, inference
from data_miner.models.pt_file import NETWORKS
from data_miner.records import Box

_patching = threading.Lock()


def import_ultralytics() -> Any:
    """Import ultralytics with code in pickles, telemetry, updates and pip calls switched off.

    Must be the first import of it in a process: the switches are read at import. Safe loading refuses
    anything but known classes of torch and ultralytics in a .pt file.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.update(ULTRALYTICS_SAFE_LOAD="1", YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_VERBOSE="False")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache / "data-miner" / "ultralytics"))
    import ultralytics
    from ultralytics.nn import tasks
    from ultralytics.utils import SETTINGS, nms

    if not tasks.SAFE_LOAD:
        raise ModelError("ultralytics was imported before its safe loading was switched on; import data_miner first")
    if SETTINGS.get("sync", True):
        SETTINGS["sync"] = False  # telemetry; offline mode silences it already, this stays for the next process
    if not isinstance(nms.non_max_suppression, partial):
        # It gives up after 2 s and .05 s a picture: a process that was stopped there lost the rest's boxes unseen
        nms.non_max_suppression = partial(nms.non_max_suppression, max_time_img=float("inf"))
    return ultralytics


def match_classes(classes: Mapping[str, Sequence[str]], names: Mapping[int, str], path: Path) -> dict[int, str]:
    """Model class id -> class of the project, by name and never by position.

    A class takes the model's names among its words. Words that the model does not know are an error, unless
    the model knows the class by its own name: then they were meant for an open-vocabulary detector. Case,
    `_` and `-` do not count. Raises ModelError with the nearest names.
    """
    ids = {_plain(name): index for index, name in names.items()}
    mapping: dict[int, str] = {}
    for label, words in classes.items():
        known = [word for word in (words or [label]) if _plain(word) in ids]
        unknown = [word for word in (words or [label]) if _plain(word) not in ids]
        if unknown and _plain(label) in ids:
            known, unknown = [*known, label], []
        if unknown:
            raise ModelError(_unknown(unknown[0], label, names, path))
        for word in known:
            index = ids[_plain(word)]
            if mapping.setdefault(index, label) != label:
                raise ModelError(f'{path}: "{word}" cannot be both {mapping[index]} and {label}; give it to one class')
    return mapping


def _plain(word: str) -> str:
    return " ".join(word.casefold().replace("_", " ").replace("-", " ").split())


def _unknown(word: str, label: str, names: Mapping[int, str], path: Path) -> str:
    near = difflib.get_close_matches(_plain(word), [_plain(name) for name in names.values()], n=3, cutoff=0.6)
    hint = f"nearest: {', '.join(near)}" if near else f"it knows: {_listed(list(names.values()))}"
    return f'{path}: classes.{label}: this model has no class "{word}"; {hint}'


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class UltralyticsDetector:
    """What every model of Ultralytics does with pictures, once it is loaded; see models.base.Detector.

    names: the model's class id -> its word. labels: class id -> class of the project.
    """

    def __init__(
        self,
        path: Path,
        digest: str,
        model: Any,
        *,
        names: Mapping[int, str],
        labels: Mapping[int, str],
        threads: int,
        batch: int,
        **settings: Any,
    ) -> None:
        self.digest = digest
        self._path, self._model, self._names, self._labels = path, model, names, labels
        self._batch = max(1, batch)
        half = str(settings["device"]).startswith("cuda")
        self._settings: dict[str, Any] = {**settings, "half": half, "verbose": False, "save": False}
        self._warm_up(max(1, threads))

    def detect(self, rgb: Sequence[Rgb]) -> list[list[Box]]:
        """See Detector.detect."""
        if len({picture.shape for picture in rgb}) > 1:
            raise ValueError("pictures of one call must have one size")
        found: list[list[Box]] = []
        for start in range(0, len(rgb), self._batch):
            bgr = [np.ascontiguousarray(picture[:, :, ::-1]) for picture in rgb[start : start + self._batch]]
            with inference(self._path.name):
                results = self._model.predict(bgr, batch=len(bgr), **self._settings)
            found.extend(self._boxes(result) for result in results)
        return found

    def close(self) -> None:
        """See Detector.close."""
        self._model = None

    def _boxes(self, result: Any) -> list[Box]:
        rows = result.boxes.data.cpu().numpy().astype(float)  # x1, y1, x2, y2, score, class
        boxes = [
            Box(self._labels[int(row[5])], row[4], (row[0], row[1], row[2], row[3]), self._names[int(row[5])])
            for row in rows.tolist()
        ]
        return sorted(boxes, key=lambda box: (-box.score, box.xyxy))

    def _warm_up(self, threads: int) -> None:
        """Compile and run once, so that a broken model shows here and not in the first job."""
        import torch

        size = self._settings["imgsz"]
        height, width = (size, size) if isinstance(size, int) else size
        with _openvino_threads(threads) if self._path.is_dir() else nullcontext(), _naming(self._path):
            self._model.predict([np.zeros((height, width, 3), np.uint8)], batch=1, **self._settings)
        torch.set_num_threads(threads)  # after the predictor's own choice: all cores but one


class YoloDetector(UltralyticsDetector):
    """A closed-set Ultralytics detector; see models.base.Detector."""

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
        fixed = _export_settings(path)
        model = load(path)
        _check_is_closed(model, path)
        names: dict[int, str] = dict(fixed.get("names") or model.names)
        labels = match_classes(classes, names, path)
        super().__init__(
            path,
            digest,
            model,
            names=names,
            labels=labels,
            threads=threads,
            batch=fixed.get("batch", batch),
            imgsz=fixed.get("imgsz", imgsz),
            iou=iou,
            max_det=max_det,
            conf=floor,
            classes=sorted(labels),
            device=device,
        )


def _export_settings(path: Path) -> dict[str, Any]:
    """What an OpenVINO export carries: names, and imgsz and batch where they are fixed; nothing for a .pt.

    Asking the loaded model for its names would compile it there and then, with threads of its own choice.
    """
    if path.is_file():
        return {}
    with _naming(path / "metadata.yaml"):
        metadata = yaml.safe_load((path / "metadata.yaml").read_text())
        settings = {"names": {int(index): str(name) for index, name in metadata["names"].items()}}
        if metadata.get("dynamic") or (metadata.get("args") or {}).get("dynamic"):
            return settings
        return {**settings, "imgsz": list(metadata["imgsz"]), "batch": int(metadata.get("batch", 1))}


def load(path: Path) -> Any:
    """Read a .pt file or an export as Ultralytics' model, on the CPU; ModelError that names the file."""
    ultralytics = import_ultralytics()
    with _naming(path):
        return ultralytics.YOLO(str(path), task="detect") if path.is_dir() else ultralytics.YOLO(str(path))


def _check_is_closed(model: Any, path: Path) -> None:
    """ModelError unless it is a detector with a class list of its own."""
    if type(getattr(model, "model", None)).__name__ in NETWORKS:  # registry saw none: torch's old file format
        raise ModelError(f"{path}: YOLO-World or YOLOE in torch's old file format; load it, and torch.save it again")
    if model.task != "detect":
        raise ModelError(f"{path}: this YOLO model is made to {model.task}; detect.model must find boxes")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Third-party loaders raise anything; say which file it was, in one line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()).removeprefix("ERROR ❌️ ")
        if "weights_only" in text.lower() or "weightsunpickler" in text.lower() or "unsafe" in text.lower():
            text = "it holds code or objects that are no model weights, and was not run"
        if isinstance(error, ModuleNotFoundError) and error.name == "clip":
            text = "it was saved with a CLIP inside; take the weights as published, or set clip_model to None and save"
        raise ModelError(f"{path}: cannot be loaded: {text[:200] or type(error).__name__}") from error


@contextmanager
def _openvino_threads(threads: int) -> Iterator[None]:
    """Let the OpenVINO core that Ultralytics creates inside use so many threads; it has no setting for it."""
    import openvino

    original = openvino.Core

    class Core(original):  # type: ignore[misc,valid-type]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.set_property("CPU", {"INFERENCE_NUM_THREADS": threads})

    with _patching:
        openvino.Core = Core
        try:
            yield
        finally:
            openvino.Core = original
