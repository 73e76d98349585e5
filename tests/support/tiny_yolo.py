"""YOLO-World and YOLOE of Ultralytics' own layouts, an eighth as wide, with random weights that see differences.

Saved as Ultralytics saves checkpoints. What is tested with them is how they are asked and read, not what they know.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np

from data_miner.models.base import Rgb
from data_miner.models.yolo import import_ultralytics

LAYOUTS = {  # name -> class of the network, layout of Ultralytics
    "yolov8-world": ("WorldModel", "v8/yolov8-world.yaml"),
    "yolov8-worldv2": ("WorldModel", "v8/yolov8-worldv2.yaml"),
    "yoloe-v8": ("YOLOEModel", "v8/yoloe-v8.yaml"),
    "yoloe-v8-seg": ("YOLOESegModel", "v8/yoloe-v8-seg.yaml"),
    "yoloe-26-seg": ("YOLOESegModel", "26/yoloe-26-seg.yaml"),
    "yolov8-seg": ("SegmentationModel", "v8/yolov8-seg.yaml"),
}


def write(name: str, folder: Path) -> Path:
    """Write the checkpoint of that name into a folder; the same weights every time."""
    import torch

    network = _network(name)
    path = folder / f"{name}.pt"
    torch.save({"epoch": -1, "best_fitness": None, "model": copy.deepcopy(network).half(), "ema": None}, path)
    return path


def random_pictures(count: int, height: int = 128, width: int = 128) -> list[Rgb]:
    """Noise in blocks, so that something is left of it after a few strides."""
    blocks = [np.random.default_rng(k).integers(0, 255, (height // 16, width // 16, 3), np.uint8) for k in range(count)]
    return [block.repeat(16, axis=0).repeat(16, axis=1) for block in blocks]


def _network(name: str) -> Any:
    import torch
    import yaml

    import_ultralytics()
    from ultralytics.nn import tasks
    from ultralytics.utils import ROOT

    kind, layout = LAYOUTS[name]
    settings = yaml.safe_load((ROOT / "cfg" / "models" / layout).read_text())
    settings |= {"scales": {"n": [0.33, 0.125, 1024]}, "scale": "n", "yaml_file": f"{name}.yaml"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(tasks, kind)(settings, verbose=False)
        _enliven(network)
    network.task = "segment" if name.endswith("-seg") else "detect"
    network.args = {"imgsz": 128, "task": network.task}
    return network


def _enliven(network: Any) -> None:
    """Give every normalisation the statistics of some pictures, and scores a spread from .01 to .9."""
    import torch

    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # running statistics become plain means
    pictures = torch.from_numpy(np.stack(random_pictures(4))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        for words in network.parameters():
            if words.ndim == 2:
                words.normal_(0, words.shape[1] ** -0.5)
        network.train()(pictures)
        for module in network.modules():
            if type(module).__name__ in ("ContrastiveHead", "BNContrastiveHead"):
                module.bias.fill_(-2.0)
                module.logit_scale.fill_(2.5 if type(module).__name__ == "ContrastiveHead" else 0.0)
    for norm in norms:
        norm.momentum = 0.03
    network.eval()
