"""Single labelled pictures of random scenes, to train and measure the tiny models. No film, no files."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from data_miner.sample import camera
from data_miner.sample.films import Shot
from data_miner.sample.render import path_of
from data_miner.sample.scenes import build
from data_miner.sample.surfaces import Picture

# The sample's films use render.DEFAULT_SEED; these never meet it, nor one another.
TRAIN_SEED = 1_000_000
HELD_OUT_SEED = 4_000_000

# How often each kind of view comes: to learn boxes, and to learn captions.
BOX_SHARES = {"glass_door": 0.6, "wooden_door": 0.16, "window": 0.14, "corridor": 0.06, "title": 0.04}
CAPTION_SHARES = {"glass_door": 0.36, "wooden_door": 0.22, "window": 0.2, "corridor": 0.14, "title": 0.08}
CARTOON_SHARE = 0.06
PER_VIEW = 3  # pictures from one view: drawing a view costs more than looking at it


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A picture and what is on it."""

    bgr: Picture
    seen: camera.Truth
    subject: str | None  # a key of prompts.PROMPTS


def pictures(seed: int, count: int, shares: dict[str, float]) -> Iterator[Labelled]:
    """Draw `count` pictures; `shares` says how often each kind of view comes. Equal seeds, equal pictures."""
    kinds, weights = list(shares), np.array(list(shares.values()))
    for k in range(-(-count // PER_VIEW)):
        rng = np.random.default_rng([seed, k])
        kind = str(rng.choice(kinds, p=weights / weights.sum()))
        left = min(PER_VIEW, count - k * PER_VIEW)
        yield from _of_one_view(kind, left, rng)


def _of_one_view(kind: str, count: int, rng: np.random.Generator) -> Iterator[Labelled]:
    cartoon = kind not in ("corridor", "title") and rng.random() < CARTOON_SHARE
    view = build(kind, rng, cartoon)
    moves = {"corridor": "push", "title": "hold"}
    plates = camera.noise_plates(rng, count=1)
    for _ in range(count):
        shot = Shot(kind, 6, 0, moves.get(kind, str(rng.choice(["pan", "push"]))))
        aims = path_of(view, shot, rng)
        matrix = camera.homography(aims[int(rng.integers(len(aims)))])
        picture, seen = camera.photograph(view, matrix), camera.truth(view, matrix)
        if rng.random() < 0.3:
            x = float(rng.uniform(0, view.bgr.shape[1]))
            camera.draw_person(picture, matrix, x, int(rng.integers(30, 150)), float(rng.uniform(-1, 1)))
        picture = camera.expose(picture, plates[0], float(rng.uniform(0.9, 1.1)))
        subject = "cartoon" if cartoon else camera.subject(view, seen)
        yield Labelled(_compressed(picture, rng), seen, subject)


def _compressed(bgr: Picture, rng: np.random.Generator) -> Picture:
    """What a video codec leaves of a picture, roughly: JPEG of low quality."""
    _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 95))])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), dtype=np.uint8)
