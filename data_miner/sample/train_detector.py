"""Trains the sample's tiny YOLO11 on drawn pictures."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
import yaml

from data_miner.models.yolo import import_ultralytics
from data_miner.sample import camera
from data_miner.sample.pictures import BOX_SHARES, TRAIN_SEED, pictures
from data_miner.sample.render import DOOR

IMGSZ = 320
TRAIN_PICTURES, CHECK_PICTURES, EPOCHS = 900, 60, 30


def train_detector(target: Path, epochs: int = EPOCHS, count: int = TRAIN_PICTURES) -> None:
    """Write the trained weights to `target` in half precision, without optimizer, paths or dates."""
    ultralytics = import_ultralytics()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = _dataset(folder, count)
        model = ultralytics.YOLO(str(_architecture(folder)), task="detect")
        model.add_callback("on_train_start", _one_thread)
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


def _one_thread(_: Any) -> None:
    """Ultralytics takes all cores but one; sums in another order would give other weights."""
    import torch

    torch.set_num_threads(1)


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
        for k, one in enumerate(pictures(seed, size, BOX_SHARES)):
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
