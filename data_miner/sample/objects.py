"""Objects that stand at or hang on a wall, each drawn into a picture inside a box given in pixels."""

from collections.abc import Callable

import cv2
import numpy as np

from data_miner.sample.surfaces import Colour, Picture, glass, mottle, pick, shade

Place = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels

METALS: tuple[Colour, ...] = ((60, 58, 56), (160, 164, 168), (206, 208, 210), (64, 84, 104), (70, 92, 60))
WOODS: tuple[Colour, ...] = (
    (44, 74, 120),
    (60, 100, 150),
    (36, 52, 84),
    (90, 130, 170),
    (206, 214, 218),
    (92, 110, 80),
    (120, 84, 60),
)


def glass_door(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    """Leaves of glass in a metal frame down to the floor, with handles, markings and sometimes a transom."""
    x1, y1, x2, y2 = box
    frame, bar = pick(rng, METALS), int(rng.integers(4, 10))
    cv2.rectangle(bgr, (x1, y1), (x2, y2), frame, -1)
    top = y1 + bar
    if rng.random() < 0.35:  # transom: a low pane above the leaves
        height = int((y2 - y1) * 0.14)
        bgr[top : top + height, x1 + bar : x2 - bar] = glass(rng, height, x2 - x1 - 2 * bar)
        top += height + bar
    leaves = 1 if (x2 - x1) < 0.62 * (y2 - y1) else 2
    edges = np.linspace(x1 + bar, x2 - bar, leaves + 1).astype(int)
    gap = max(2, bar // 2)
    for left, right in zip(edges[:-1] + gap, edges[1:] - gap, strict=True):
        bgr[top : y2 - bar, left:right] = glass(rng, y2 - bar - top, int(right - left))
    _markings(bgr, rng, (int(edges[0]), top, int(edges[-1]), y2 - bar))
    middle = int(edges[1]) if leaves == 2 else int(edges[0 if rng.random() < 0.5 else 1])
    _handles(bgr, rng, middle, (x1 + x2) // 2, y1 + (y2 - y1) * 11 // 20, leaves)


def _handles(bgr: Picture, rng: np.random.Generator, x: int, centre: int, y: int, leaves: int) -> None:
    metal = pick(rng, ((220, 224, 226), (40, 40, 42), (120, 170, 190)))
    length = int(rng.integers(24, 62))
    sides = (-9, 9) if leaves == 2 else (10 if x < centre else -10,)
    for side in sides:
        cv2.line(bgr, (x + side, y - length // 2), (x + side, y + length // 2), metal, 4)
        cv2.line(bgr, (x + side + 2, y - length // 2), (x + side + 2, y + length // 2), shade(metal, 0.6), 1)


def _markings(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    x1, y1, x2, y2 = box
    kind = rng.random()
    if kind < 0.4:  # a row of dots that keeps people from walking into the pane
        y = y1 + int((y2 - y1) * rng.uniform(0.42, 0.6))
        for x in range(x1 + 10, x2 - 6, 14):
            cv2.circle(bgr, (x, y), 3, (240, 240, 240), -1)
    elif kind < 0.65:
        words = ("PUSH", "PULL", "ENTRANCE", "AUTO", "OPEN")
        word = words[int(rng.integers(len(words)))]
        spot = (x1 + (x2 - x1) // 5, y1 + (y2 - y1) // 3)
        cv2.putText(bgr, word, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 190), 2)


def wooden_door(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    """One leaf or two of wood with panels, grain and a knob; now and then a small pane."""
    x1, y1, x2, y2 = box
    wood = pick(rng, WOODS)
    cv2.rectangle(bgr, (x1, y1), (x2, y2), shade(wood, 0.6), -1)
    leaf = bgr[y1 + 6 : y2, x1 + 6 : x2 - 6]
    leaf[:] = wood
    mottle(leaf, rng, amount=7.0, grain_px=40)
    for x in rng.integers(0, leaf.shape[1], 14):
        cv2.line(leaf, (int(x), 0), (int(x), leaf.shape[0]), shade(wood, 0.88), 1)
    leaves = 1 if (x2 - x1) < 0.62 * (y2 - y1) else 2
    for k in range(leaves):
        width = (x2 - x1 - 12) // leaves
        _panels(leaf[:, k * width : (k + 1) * width], rng, wood)
    if leaves == 2:
        cv2.line(bgr, ((x1 + x2) // 2, y1), ((x1 + x2) // 2, y2), shade(wood, 0.45), 3)
    knob = (x2 - 18 if leaves == 1 else (x1 + x2) // 2 + 12, y1 + (y2 - y1) * 11 // 20)
    cv2.circle(bgr, knob, 6, pick(rng, ((90, 190, 220), (190, 194, 196))), -1)


def _panels(leaf: Picture, rng: np.random.Generator, wood: Colour) -> None:
    height, width = leaf.shape[:2]
    rows = int(rng.integers(1, 5))
    for k in range(rows):
        y1, y2 = int(height * (k + 0.12) / rows), int(height * (k + 0.86) / rows)
        cv2.rectangle(leaf, (14, y1), (width - 14, y2), shade(wood, 0.7), 2)
        cv2.rectangle(leaf, (16, y1 + 2), (width - 12, y2 + 2), shade(wood, 1.18), 1)
    if rng.random() < 0.2:
        y1, y2 = int(height * 0.12), int(height * 0.3)
        leaf[y1:y2, width // 3 : width * 2 // 3] = glass(rng, y2 - y1, width * 2 // 3 - width // 3)


def window(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    """Panes with mullions above a sill."""
    x1, y1, x2, y2 = box
    frame, bar = pick(rng, (*METALS, (226, 230, 232))), int(rng.integers(4, 9))
    cv2.rectangle(bgr, (x1, y1), (x2, y2), frame, -1)
    bgr[y1 + bar : y2 - bar, x1 + bar : x2 - bar] = glass(rng, y2 - y1 - 2 * bar, x2 - x1 - 2 * bar)
    for k in range(1, int(rng.integers(2, 4))):
        x = x1 + (x2 - x1) * k // 3
        cv2.line(bgr, (x, y1), (x, y2), frame, bar)
    if rng.random() < 0.7:
        y = y1 + int((y2 - y1) * rng.uniform(0.3, 0.6))
        cv2.line(bgr, (x1, y), (x2, y), frame, max(2, bar - 2))
    cv2.rectangle(bgr, (x1 - 10, y2), (x2 + 10, y2 + 8), shade(frame, 1.1), -1)
    if rng.random() < 0.3:
        curtain = pick(rng, ((90, 90, 170), (170, 150, 110), (200, 206, 210)))
        cv2.rectangle(bgr, (x1 - 8, y1 - 8), (x1 + (x2 - x1) // 6, y2 - 4), curtain, -1)


def lift(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    """A lift: two leaves of brushed steel, no glass."""
    x1, y1, x2, y2 = box
    steel = pick(rng, ((150, 154, 158), (120, 124, 128), (110, 140, 156)))
    cv2.rectangle(bgr, (x1, y1), (x2, y2), shade(steel, 0.55), -1)
    leaf = bgr[y1 + 10 : y2, x1 + 10 : x2 - 10]
    leaf[:] = (steel + np.linspace(-18, 22, leaf.shape[1])[None, :, None]).clip(0, 255).astype(np.uint8)
    mottle(leaf, rng, amount=3.0)
    cv2.line(bgr, ((x1 + x2) // 2, y1 + 10), ((x1 + x2) // 2, y2), shade(steel, 0.4), 2)
    cv2.rectangle(bgr, (x2 + 8, (y1 + y2) // 2), (x2 + 18, (y1 + y2) // 2 + 24), (200, 204, 206), -1)


def painting(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    """A framed picture."""
    x1, y1, x2, y2 = box
    cv2.rectangle(bgr, (x1, y1), (x2, y2), pick(rng, ((40, 60, 90), (30, 30, 32), (90, 150, 180))), -1)
    inside = bgr[y1 + 6 : y2 - 6, x1 + 6 : x2 - 6]
    inside[:] = pick(rng, ((200, 210, 214), (120, 100, 160), (150, 170, 90)))
    for _ in range(6):
        spot = (int(rng.integers(0, inside.shape[1])), int(rng.integers(0, inside.shape[0])))
        cv2.circle(
            inside,
            spot,
            int(rng.integers(4, 22)),
            pick(rng, ((60, 60, 200), (190, 120, 40), (70, 160, 80))),
            -1,
        )


def plant(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    """A plant in a pot."""
    x1, y1, x2, y2 = box
    middle, pot = (x1 + x2) // 2, y2 - (y2 - y1) // 4
    for _ in range(16):
        tip = (int(rng.integers(x1, x2)), int(rng.integers(y1, pot)))
        cv2.line(bgr, (middle, pot), tip, pick(rng, ((50, 120, 60), (60, 90, 40))), int(rng.integers(3, 8)))
    cv2.rectangle(bgr, (middle - 16, pot), (middle + 16, y2), pick(rng, ((60, 90, 150), (90, 90, 94))), -1)


def bench(bgr: Picture, rng: np.random.Generator, box: Place) -> None:
    """A bench."""
    x1, y1, x2, y2 = box
    colour = pick(rng, WOODS)
    cv2.rectangle(bgr, (x1, y1), (x2, y1 + 14), colour, -1)
    for x in (x1 + 8, x2 - 14):
        cv2.rectangle(bgr, (x, y1 + 14), (x + 7, y2), shade(colour, 0.6), -1)


DRAW: dict[str, Callable[[Picture, np.random.Generator, Place], None]] = {
    "glass_door": glass_door,
    "wooden_door": wooden_door,
    "window": window,
    "lift": lift,
    "painting": painting,
    "plant": plant,
    "bench": bench,
}
