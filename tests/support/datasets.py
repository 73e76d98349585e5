"""Images of a dataset version, made by arithmetic: noise pictures, boxes at known places."""

import hashlib
from pathlib import Path

import cv2
import numpy as np

from data_miner.export.names import image_name
from data_miner.records import Box, ExportImage, FrameScore, VideoInfo

CLASSES = ["glass_door", "door_handle"]
WIDTH, HEIGHT = 160, 96


def jpeg_of(image: ExportImage) -> bytes:
    """The picture of an image: noise that its name alone decides."""
    seed = int.from_bytes(hashlib.sha256(image.name.encode()).digest()[:4], "big")
    rgb = np.random.default_rng(seed).integers(0, 255, (image.height, image.width, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", rgb)[1])


def image_of(video: int, second: int, boxes: tuple[Box, ...] | None = None, /, **more: object) -> ExportImage:
    """One image of video number `video`; without `boxes` two of known place, none in every fifth second."""
    video_id = f"youtube:vid-{video:04d}"
    if boxes is None:
        handle = Box("door_handle", 0.5, (10.0, 20.0, 20.0, 30.0), "push bar")
        boxes = () if second % 5 == 4 else (handle, Box("glass_door", 0.75, (40.0, 24.0, 120.0, 96.0), "glass door"))
    values: dict[str, object] = {
        "name": image_name(video_id, second * 1000 + 417),
        "shard": f"shards/{video}/attempt-1.tar",
        "offset": second * 512,
        "size_bytes": 4000 + second,
        "width": WIDTH,
        "height": HEIGHT,
        "split": "val" if video % 4 == 0 else "train",
        "boxes": boxes,
        "video": VideoInfo(
            video_id,
            f"https://www.youtube.com/watch?v=vid-{video:04d}",
            "youtube",
            title=f"Tour {video}",
            license="CC BY",
        ),
        "pts_ms": second * 1000 + 417,
        "score": FrameScore(second * 1000 + 417, 0.41, "a glass door", 0.11, "a window"),
        "sharpness": 141.26,
        "brightness": 118.0,
        "config_hash": "8f31c2000000",
        "models": {"detect": "yolo11n@sha256:aa"},
    }
    return ExportImage(**(values | more))  # type: ignore[arg-type]


def images_of(videos: int, seconds: int) -> list[ExportImage]:
    """Every second of every video."""
    return [image_of(video, second) for video in range(videos) for second in range(seconds)]


def tree_bytes(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes; a link with where it points."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = str(path.readlink()).encode()
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found
