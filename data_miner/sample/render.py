"""Renders films to H.264 files with their exact truth beside them. Equal seeds give equal bytes."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from data_miner.records import key_of
from data_miner.sample import camera
from data_miner.sample.films import CATALOGUE, Film, Shot
from data_miner.sample.scenes import HEIGHT_PX, View, build
from data_miner.sample.surfaces import Picture

FPS = 10
DEFAULT_SEED = 20
RECIPE = 1  # raise it when the same seed should give other pictures
DOOR = "glass_door"


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """What one frame shows. Boxes are xyxy pixels, cut at the picture's edges."""

    pts_ms: int
    boxes: list[camera.Rectangle]  # glass doors
    others: dict[str, list[camera.Rectangle]]  # everything else by kind; "partial": doors hardly in view
    subject: str | None  # what a caption would name; None where it is doubtful


@dataclass(frozen=True, slots=True)
class RenderedVideo:
    """A rendered film on disk. Names are yt-dlp's."""

    name: str
    title: str
    description: str
    tags: tuple[str, ...]
    uploader: str
    license: str
    upload_date: str
    path: Path
    duration_s: float
    frames: list[FrameTruth]

    @property
    def truth(self) -> list[tuple[int, list[camera.Rectangle]]]:
        """(pts_ms, boxes of glass doors) of every frame."""
        return [(frame.pts_ms, frame.boxes) for frame in self.frames]


def render_sample(folder: Path, videos: int = 12, seed: int = DEFAULT_SEED) -> list[RenderedVideo]:
    """Render the first films of the catalogue into the folder, or reuse what is finished there.

    A file appears whole or not at all, so a killed call can be repeated and two may run at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [render_film(folder, film, film_seed) for film, film_seed in films(videos, seed)]


def films(videos: int, seed: int) -> Iterator[tuple[Film, int]]:
    """The first films of the catalogue and the seed of each; after its end other scenes under new names."""
    for k in range(videos):
        film, lap = CATALOGUE[k % len(CATALOGUE)], k // len(CATALOGUE)
        name, title = film.name, film.title
        if lap:
            name, title = f"{name}_{lap + 1}", f"{title}, part {lap + 1}"
        yield replace(film, name=name, title=title), seed + 1000 * lap


def render_film(folder: Path, film: Film, seed: int) -> RenderedVideo:
    """Write NAME.mp4 and NAME.json, or read them back when they were made from the same film and seed."""
    path, beside = folder / f"{film.name}.mp4", folder / f"{film.name}.json"
    recipe = key_of(recipe=RECIPE, seed=seed, film=asdict(film))
    found = _read(beside, path, recipe)
    if found is not None:
        return found
    partial = folder / f".{film.name}.{os.getpid()}.part"
    frames = _encode(partial, film, seed)
    size_bytes = partial.stat().st_size
    partial.replace(path)
    about = {key: value for key, value in asdict(film).items() if key != "shots"}
    record = {**about, "recipe": recipe, "size_bytes": size_bytes, "duration_s": float(film.seconds)}
    record["frames"] = [asdict(frame) for frame in frames]
    partial.write_text(json.dumps(record, separators=(",", ":")))
    partial.replace(beside)
    return _video(record, path)


def _read(beside: Path, path: Path, recipe: str) -> RenderedVideo | None:
    try:
        record = json.loads(beside.read_text())
        whole = record["recipe"] == recipe and path.stat().st_size == record["size_bytes"]
        return _video(record, path) if whole else None
    except (OSError, ValueError, KeyError):
        return None


def _video(record: dict[str, Any], path: Path) -> RenderedVideo:
    names = ("name", "title", "description", "uploader", "license", "upload_date", "duration_s")
    frames = [
        FrameTruth(
            pts_ms=frame["pts_ms"],
            boxes=[_rectangle(box) for box in frame["boxes"]],
            others={kind: [_rectangle(box) for box in boxes] for kind, boxes in frame["others"].items()},
            subject=frame["subject"],
        )
        for frame in record["frames"]
    ]
    return RenderedVideo(**{name: record[name] for name in names}, tags=tuple(record["tags"]), path=path, frames=frames)


def _rectangle(box: list[float]) -> camera.Rectangle:
    x1, y1, x2, y2 = box
    return x1, y1, x2, y2


def _encode(path: Path, film: Film, seed: int) -> list[FrameTruth]:
    """Write the film as H.264 in mp4. One encoder thread: with more the bytes depend on timing."""
    frames: list[FrameTruth] = []
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as file:
        options = {"preset": "superfast", "tune": "fastdecode", "crf": "25", "g": "50", "threads": "1"}
        stream = file.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = camera.WIDTH_PX, camera.HEIGHT_PX, "yuv420p"
        stream.codec_context.thread_count = 1
        for shot in film.shots:
            for picture, seen, subject in shoot(shot, seed):
                planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts = len(frames)
                file.mux(stream.encode(frame))
                others = {kind: boxes for kind, boxes in seen.boxes.items() if kind != DOOR}
                if DOOR in seen.partial:
                    others["partial"] = seen.partial[DOOR]
                frames.append(FrameTruth(len(frames) * 1000 // FPS, seen.boxes.get(DOOR, []), others, subject))
        file.mux(stream.encode(None))
    return frames


def shoot(shot: Shot, seed: int) -> Iterator[tuple[Picture, camera.Truth, str | None]]:
    """The frames of a shot: picture (bgr), what it shows, and what a caption would name."""
    rng = np.random.default_rng([seed, shot.scene])
    view = build(shot.kind, rng, shot.cartoon)
    aims = path_of(view, shot, rng)
    plates = camera.noise_plates(rng)
    walk = (float(rng.uniform(0, 200)), float(rng.uniform(30, 60)), int(rng.integers(30, 150)))
    flicker = rng.uniform(0.96, 1.04, len(aims))
    for k, aim in enumerate(aims):
        matrix = camera.homography(aim)
        picture, seen = camera.photograph(view, matrix), camera.truth(view, matrix)
        if shot.people:
            x = (walk[0] + walk[1] * k / FPS) % view.bgr.shape[1]
            camera.draw_person(picture, matrix, x, walk[2], float(np.sin(k * 1.1)))
        picture = camera.expose(picture, plates[k % len(plates)], flicker[k] * (0.05 if shot.effect == "dark" else 1.0))
        if shot.effect == "blur":
            picture = np.asarray(cv2.blur(cv2.blur(picture, (15, 15)), (15, 15)), dtype=np.uint8)
        subject = "cartoon" if shot.cartoon else camera.subject(view, seen)
        yield picture, seen, None if shot.effect else subject


def path_of(view: View, shot: Shot, rng: np.random.Generator) -> list[camera.Aim]:
    """Where the camera looks in each frame of a shot: along the wall, towards its thing, or still."""
    count = shot.seconds * FPS
    near, far = float(rng.uniform(430, 540)), float(rng.uniform(600, 720))
    y, yaw, roll = (
        float(rng.uniform(285, 315)),
        float(rng.uniform(-0.14, 0.14)),
        float(rng.uniform(-0.03, 0.03)),
    )
    x = view.centre_x + float(rng.uniform(-60, 60))
    reach = max(0.0, view.bgr.shape[1] / 2 - near / 2 - 20) if shot.move == "pan" else 0.0
    turn = float(rng.choice([-1.0, 1.0]))
    aims = []
    for k in range(count):
        t = k / max(1, count - 1)
        glide = (1 - np.cos(np.pi * t)) / 2
        sway = 0.0 if shot.move == "hold" else float(np.sin(k / 4.3) * 2.5)
        width = far + (near - far) * glide if shot.move == "push" else (near + far) / 2
        at = x if shot.move != "pan" else view.bgr.shape[1] / 2 + turn * reach * (glide - 0.5) * 1.7
        half = width * camera.HEIGHT_PX / camera.WIDTH_PX / 2
        aims.append(
            camera.Aim(at + sway, min(max(y + sway / 2, half), HEIGHT_PX - half), width, yaw * (1 - 0.6 * t), roll)
        )
    return aims
