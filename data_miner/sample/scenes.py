"""Views of a building: a wide picture of a wall, a corridor or a title card, and what stands where on it."""

from dataclasses import dataclass

import cv2
import numpy as np

from data_miner.sample.objects import DRAW, Place
from data_miner.sample.surfaces import Picture, ceiling, floor, mottle, pick, shade, wall

HEIGHT_PX = 600
CEILING_PX = 80  # the ceiling ends here
FLOOR_PX = 440  # the wall meets the floor here

KINDS = ("glass_door", "wooden_door", "window", "corridor", "title")


@dataclass(frozen=True, slots=True)
class Thing:
    """Something drawn into a view."""

    kind: str  # a key of objects.DRAW
    box: Place


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A wide picture and what stands in it; a camera looks at a part of it."""

    kind: str  # one of KINDS
    bgr: Picture
    things: tuple[Thing, ...]
    centre_x: int  # where the thing that the view is named for stands


def build(kind: str, rng: np.random.Generator, cartoon: bool = False) -> View:
    """Draw a view of a kind of KINDS; equal generators give equal bytes."""
    makers = {"corridor": _corridor, "title": _title}
    view = makers[kind](rng) if kind in makers else _front(kind, rng)
    if not cartoon:
        return view
    return View(view.kind, _cartoon(view.bgr), view.things, view.centre_x)


def _front(kind: str, rng: np.random.Generator) -> View:
    """A wall seen from the front: the named thing in the middle and others to its sides."""
    width = int(rng.integers(1050, 1500))
    bgr = np.empty((HEIGHT_PX, width, 3), np.uint8)
    bgr[:CEILING_PX] = ceiling(rng, CEILING_PX, width)
    bgr[CEILING_PX:FLOOR_PX] = wall(rng, FLOOR_PX - CEILING_PX, width)
    bgr[FLOOR_PX:] = floor(rng, HEIGHT_PX - FLOOR_PX, width, width // 2)
    cv2.rectangle(bgr, (0, FLOOR_PX - 8), (width, FLOOR_PX), pick(rng, ((60, 62, 66), (200, 204, 206))), -1)
    things = tuple(Thing(one, place) for one, place in _arrange(kind, rng, width))
    for thing in things:
        DRAW[thing.kind](bgr, rng, thing.box)
    _gloss(bgr, float(rng.uniform(0.0, 0.35)))
    _light(bgr, rng)
    main = next(thing.box for thing in things if thing.kind == kind)
    return View(kind, bgr, things, (main[0] + main[2]) // 2)


def _arrange(kind: str, rng: np.random.Generator, width: int) -> list[tuple[str, Place]]:
    beside = {
        "glass_door": ("glass_door", "window", "wooden_door", "painting", "plant", "lift", "bench"),
        "wooden_door": ("wooden_door", "painting", "plant", "bench", "lift"),
        "window": ("window", "painting", "plant", "bench"),
    }[kind]
    first = _place(kind, rng, 0)
    start = width // 2 - (first[2] - first[0]) // 2 + int(rng.integers(-120, 121))
    placed = [(kind, _moved(first, start))]
    for direction in (-1, 1):
        edge = start if direction < 0 else start + first[2]
        for _ in range(3):
            other = str(rng.choice(beside))
            box = _place(other, rng, 0)
            gap = int(rng.integers(34, 170))
            left = edge - gap - box[2] if direction < 0 else edge + gap
            if left < 16 or left + box[2] > width - 16:
                break
            placed.append((other, _moved(box, left)))
            edge = left if direction < 0 else left + box[2]
    return placed


def _moved(box: Place, left: int) -> Place:
    return box[0] + left, box[1], box[2] + left, box[3]


def _place(kind: str, rng: np.random.Generator, left: int) -> Place:
    """A box of a size that fits the kind, standing or hanging where its kind does."""
    double = rng.random() < 0.45
    sizes: dict[str, tuple[int, int, int, int]] = {  # width from, to; height from, to
        "glass_door": (180, 280, 230, 320) if double else (104, 160, 230, 320),
        "wooden_door": (180, 230, 240, 310) if double else (100, 150, 240, 310),
        "window": (120, 270, 110, 200),
        "lift": (150, 210, 240, 300),
        "painting": (50, 120, 50, 100),
        "plant": (60, 100, 90, 180),
        "bench": (120, 220, 50, 70),
    }
    low_w, high_w, low_h, high_h = sizes[kind]
    w, h = int(rng.integers(low_w, high_w)), int(rng.integers(low_h, high_h))
    if kind in ("window", "painting"):
        bottom = int(rng.integers(CEILING_PX + h + 20, FLOOR_PX - 60))
    elif kind in ("plant", "bench"):
        bottom = FLOOR_PX + int(rng.integers(4, 30))
    else:
        bottom = FLOOR_PX + int(rng.integers(-2, 4))
    return left, bottom - h, left + w, bottom


def _gloss(bgr: Picture, weight: float) -> None:
    """Mirror the foot of the wall in a polished floor."""
    depth = HEIGHT_PX - FLOOR_PX
    mirrored = cv2.blur(bgr[FLOOR_PX - depth : FLOOR_PX][::-1], (3, 9))
    bgr[FLOOR_PX:] = cv2.addWeighted(bgr[FLOOR_PX:], 1 - weight, mirrored, weight, 0)


def _light(bgr: Picture, rng: np.random.Generator) -> None:
    """Lay brighter and darker places over the view, in place."""
    height, width = bgr.shape[:2]
    coarse = rng.uniform(0.72, 1.14, (3, 6)).astype(np.float32)
    gain = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.multiply(bgr, cv2.merge([gain, gain, gain]), dst=bgr, dtype=cv2.CV_8U)


def _corridor(rng: np.random.Generator) -> View:
    """A corridor that runs away from the camera, empty, with doors nowhere."""
    width = 1000
    x, y = width // 2 + int(rng.integers(-60, 61)), 280 + int(rng.integers(-24, 25))
    half_w, half_h = int(rng.integers(55, 110)), int(rng.integers(50, 100))
    far = (x - half_w, y - half_h, x + half_w, y + half_h)
    bgr = np.zeros((HEIGHT_PX, width, 3), np.uint8)
    side, ground, top = (
        pick(rng, ((214, 222, 226), (196, 188, 160), (150, 170, 182), (128, 150, 122))),
        pick(rng, ((96, 118, 140), (150, 156, 160), (70, 82, 92))),
        pick(rng, ((206, 210, 212), (150, 154, 158))),
    )
    corners = [(0, 0), (width, 0), (width, HEIGHT_PX), (0, HEIGHT_PX)]
    inner = [(far[0], far[1]), (far[2], far[1]), (far[2], far[3]), (far[0], far[3])]
    for k, colour in enumerate((top, shade(side, 0.86), ground, side)):
        ring = np.array([corners[k], corners[(k + 1) % 4], inner[(k + 1) % 4], inner[k]], np.int32)
        cv2.fillPoly(bgr, [ring], colour)
    cv2.rectangle(bgr, far[:2], far[2:], shade(side, float(rng.uniform(0.5, 1.1))), -1)
    _perspective_lines(bgr, rng, (x, y), far, corners, inner)
    _lamps(bgr, rng, (x, y), far)
    mottle(bgr, rng, amount=5.0, grain_px=50)
    _light(bgr, rng)
    return View("corridor", bgr, (), x)


def _perspective_lines(
    bgr: Picture,
    rng: np.random.Generator,
    vanish: tuple[int, int],
    far: Place,
    corners: list[tuple[int, int]],
    inner: list[tuple[int, int]],
) -> None:
    dark = pick(rng, ((70, 74, 78), (110, 112, 118)))
    for outer, near in zip(corners, inner, strict=True):
        cv2.line(bgr, outer, near, dark, 3, cv2.LINE_AA)
    rail = float(rng.uniform(0.1, 0.6))
    for edge, border in ((0, far[0]), (bgr.shape[1], far[2])):
        y_far = int(vanish[1] + (far[3] - vanish[1]) * rail)
        y_near = int(vanish[1] + (HEIGHT_PX - vanish[1]) * rail)
        cv2.line(bgr, (edge, y_near), (border, y_far), dark, int(rng.integers(2, 7)), cv2.LINE_AA)
    for x in range(-400, 1401, int(rng.integers(80, 200))):  # joints of the floor
        start = int(vanish[0] + (x - vanish[0]) * (far[3] - vanish[1]) / (HEIGHT_PX - vanish[1]))
        if far[0] <= start <= far[2]:
            cv2.line(bgr, (x, HEIGHT_PX), (start, far[3]), dark, 1, cv2.LINE_AA)
    for depth in np.geomspace(1.15, 5.0, int(rng.integers(4, 9))):  # ribs of walls and floor
        left, right = (int(vanish[0] + (b - vanish[0]) * depth) for b in (far[0], far[2]))
        up, down = (int(vanish[1] + (b - vanish[1]) * depth) for b in (far[1], far[3]))
        cv2.rectangle(bgr, (left, up), (right, down), dark, 1)


def _lamps(bgr: Picture, rng: np.random.Generator, vanish: tuple[int, int], far: Place) -> None:
    half = (far[2] - far[0]) * float(rng.uniform(0.12, 0.3))
    for near, deep in ((4.4, 3.4), (2.9, 2.3), (1.9, 1.6), (1.35, 1.2)):
        y_near, y_far = (int(vanish[1] + (far[1] - vanish[1]) * depth) for depth in (near, deep))
        lamp = [
            (int(vanish[0] - half * near), y_near),
            (int(vanish[0] + half * near), y_near),
            (int(vanish[0] + half * deep), y_far),
            (int(vanish[0] - half * deep), y_far),
        ]
        cv2.fillPoly(bgr, [np.array(lamp, np.int32)], (238, 250, 252))


def _title(rng: np.random.Generator) -> View:
    """A card with words, as films begin with."""
    width = 1000
    bgr = np.full(
        (HEIGHT_PX, width, 3),
        pick(rng, ((40, 40, 44), (120, 60, 30), (220, 224, 226), (50, 50, 140))),
        np.uint8,
    )
    mottle(bgr, rng, amount=2.0)
    ink = (245, 245, 245) if bgr.mean() < 128 else (30, 30, 34)
    words = (
        "BUILDING TOUR",
        "WELCOME",
        "PART TWO",
        "SUBSCRIBE",
        "CHAPTER ONE",
        "INTERIORS 2024",
        "THANK YOU",
        "EPISODE 7",
    )
    for row in range(int(rng.integers(2, 5))):
        scale, line = float(rng.uniform(1.0, 2.4)), words[int(rng.integers(len(words)))]
        spot = (int(rng.integers(180, 330)), 200 + row * 80)
        cv2.putText(bgr, line, spot, cv2.FONT_HERSHEY_DUPLEX, scale, ink, int(rng.integers(2, 5)), cv2.LINE_AA)
    y = int(rng.integers(120, 480))
    cv2.line(bgr, (180, y), (820, y), pick(rng, ((60, 160, 240), (200, 120, 40))), 6)
    return View("title", bgr, (), width // 2)


def _cartoon(bgr: Picture) -> Picture:
    """Flat colours with black outlines, as cheap animation has."""
    flat: Picture = (cv2.blur(bgr, (7, 7)) // 56 * 56 + 40).astype(np.uint8)
    outline = cv2.Canny(bgr, 90, 180)
    flat[outline > 0] = 0
    return flat
