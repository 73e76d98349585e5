"""Trains the sample's tiny YOLO11 on drawn pictures, and measures a detector against their truth."""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import yaml

from data_miner.models.base import Detector
from data_miner.models.yolo import import_ultralytics
from data_miner.sample import camera
from data_miner.sample.pictures import HELD_OUT_SEED, TRAIN_SEED, Labelled, pictures
from data_miner.sample.render import DOOR

IMGSZ = 320
SHARES = {"glass_door": 0.6, "wooden_door": 0.16, "window": 0.14, "corridor": 0.06, "title": 0.04}
TRAIN_PICTURES, CHECK_PICTURES, HELD_OUT_PICTURES, EPOCHS = 900, 60, 300, 30


def train_detector(target: Path, epochs: int = EPOCHS, count: int = TRAIN_PICTURES) -> None:
    """Write the trained weights to `target` in half precision, without optimizer, paths or dates."""
    ultralytics = import_ultralytics()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = _dataset(folder, count)
        model = ultralytics.YOLO(str(_architecture(folder)), task="detect")
        model.add_callback("on_train_start", _two_threads)
        model.train(
            data=str(data),
            imgsz=IMGSZ,
            epochs=epochs,
            batch=16,
            workers=0,
            cache="ram",
            device="cpu",
            project=str(folder),
            name="run",
            seed=0,
            deterministic=True,
            pretrained=False,
            optimizer="AdamW",
            lr0=0.003,
            cos_lr=True,
            warmup_epochs=1.0,
            mosaic=0.5,
            close_mosaic=epochs // 3,
            scale=0.3,
            val=False,
            plots=False,
            verbose=False,
        )
        _strip(folder / "run" / "weights" / "last.pt", target)


def _two_threads(_: Any) -> None:
    """Ultralytics takes all cores but one; sums in another order would give other weights."""
    import torch

    torch.set_num_threads(2)


def _architecture(folder: Path) -> Path:
    """YOLO11 as Ultralytics describes it, with an eighth of the channels: 0.5 M parameters."""
    import ultralytics

    described = Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    plan = yaml.safe_load(described.read_text())
    plan.update(nc=1, scales={"n": [0.33, 0.125, 1024]})
    path = folder / "yolo11n.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path


def _dataset(folder: Path, count: int) -> Path:
    for split, seed, size in (("train", TRAIN_SEED, count), ("val", TRAIN_SEED + 1, CHECK_PICTURES)):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for k, one in enumerate(pictures(seed, size, SHARES)):
            cv2.imwrite(str(images / f"{k:05d}.jpg"), one.bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
            lines = [_label(box) for box in one.seen.boxes.get(DOOR, [])]
            (labels / f"{k:05d}.txt").write_text("".join(lines))
    data = folder / "data.yaml"
    places = {"path": str(folder), "train": "images/train", "val": "images/val"}
    data.write_text(yaml.safe_dump({**places, "names": {0: DOOR}}))
    return data


def _label(box: camera.Rectangle) -> str:
    x1, y1, x2, y2 = box
    width, height = camera.WIDTH_PX, camera.HEIGHT_PX
    parts = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return "0 " + " ".join(f"{part:.6f}" for part in parts) + "\n"


def _strip(source: Path, target: Path) -> None:
    """Keep the model and what loading needs; the rest names folders of the machine that trained it."""
    import torch
    from ultralytics.nn.tasks import torch_safe_load

    checkpoint: dict[str, Any] = torch_safe_load(str(source), safe_only=True)[0]
    model = (checkpoint.get("ema") or checkpoint["model"]).half()
    model.args = {"imgsz": IMGSZ, "task": "detect"}
    model.yaml.pop("yaml_file", None)
    kept = {"model": model, "train_args": {"imgsz": IMGSZ, "task": "detect"}, "epoch": -1, "optimizer": None}
    partial = target.with_suffix(".part")
    torch.save(kept, partial)
    shutil.move(partial, target)


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two xyxy boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def matches(found: Sequence[Sequence[float]], true: Sequence[Sequence[float]], iou: float = 0.5) -> int:
    """How many found boxes meet a true one of their own; best found first."""
    open_boxes, hits = list(true), 0
    for box in found:
        best = max(open_boxes, key=lambda candidate: overlap(box, candidate), default=None)
        if best is not None and overlap(box, best) >= iou:
            open_boxes.remove(best)
            hits += 1
    return hits


def measure_detector(
    detector: Detector, held_out: Iterable[Labelled] | None = None, conf: float = 0.3
) -> dict[str, float]:
    """Precision and recall at IoU .5 from `conf` up; a box on a door hardly in view counts as wrong."""
    hits = found = true = 0
    for one in held_out if held_out is not None else pictures(HELD_OUT_SEED, HELD_OUT_PICTURES, SHARES):
        boxes = detector.detect([one.bgr[:, :, ::-1]])[0]
        sure = [box.xyxy for box in boxes if box.score >= conf]
        wanted = one.seen.boxes.get(DOOR, [])
        hits, found, true = hits + matches(sure, wanted), found + len(sure), true + len(wanted)
    return {"precision": hits / max(1, found), "recall": hits / max(1, true), "doors": float(true)}
