"""Surfaces a room is made of: walls, floors, ceilings, and what is seen through glass. No objects."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]  # bgr

WALLS: tuple[Colour, ...] = (
    (214, 222, 226),
    (176, 196, 208),
    (196, 188, 160),
    (150, 170, 182),
    (128, 150, 122),
    (92, 104, 150),
    (168, 150, 140),
    (110, 112, 118),
)
FLOORS: tuple[Colour, ...] = ((96, 118, 140), (150, 156, 160), (70, 82, 92), (110, 140, 168), (128, 120, 104))
SKIES: tuple[Colour, ...] = ((238, 214, 176), (228, 226, 222), (190, 206, 236), (150, 120, 84))
GREENS: tuple[Colour, ...] = ((52, 108, 66), (60, 140, 92), (40, 84, 70))


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: int = 16) -> Colour:
    """One colour of a palette, moved a little."""
    base = np.array(colours[int(rng.integers(len(colours)))]) + rng.integers(-spread, spread + 1, 3)
    blue, green, red = np.clip(base, 4, 250).astype(int)
    return int(blue), int(green), int(red)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, lighter (factor above 1) or darker."""
    blue, green, red = (min(255, max(0, int(channel * factor))) for channel in colour)
    return blue, green, red


def mottle(bgr: Picture, rng: np.random.Generator, amount: float, grain_px: int = 24) -> None:
    """Give a flat region soft stains and fine grain, in place."""
    height, width = bgr.shape[:2]
    coarse = rng.normal(0, amount, (height // grain_px + 2, width // grain_px + 2)).astype(np.float32)
    stains = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = rng.integers(-5, 6, (height, width), dtype=np.int16)
    mixed = bgr.astype(np.int16) + (stains.astype(np.int16) + fine)[:, :, None]
    np.clip(mixed, 0, 255, out=mixed)
    bgr[:] = mixed.astype(np.uint8)


def wall(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A wall (height, width, 3) of plaster, bricks, panels or tiles."""
    colour = pick(rng, WALLS)
    bgr = np.full((height, width, 3), colour, np.uint8)
    mottle(bgr, rng, amount=float(rng.uniform(3, 9)), grain_px=int(rng.integers(18, 60)))
    joint = shade(colour, float(rng.choice([0.72, 0.82, 1.14])))
    pattern = int(rng.integers(4))
    if pattern == 1:
        _bricks(bgr, joint, step=int(rng.integers(14, 24)))
    elif pattern == 2:
        for x in range(0, width, int(rng.integers(48, 130))):
            cv2.line(bgr, (x, 0), (x, height), joint, 2)
    elif pattern == 3:
        step = int(rng.integers(34, 70))
        for x in range(0, width, step):
            cv2.line(bgr, (x, 0), (x, height), joint, 1)
        for y in range(0, height, step):
            cv2.line(bgr, (0, y), (width, y), joint, 1)
    if rng.random() < 0.35:  # wainscot: the lower part in another colour
        top = int(height * rng.uniform(0.6, 0.75))
        bgr[top:] = (bgr[top:] * float(rng.uniform(0.6, 0.85))).astype(np.uint8)
        cv2.line(bgr, (0, top), (width, top), shade(colour, 0.5), 3)
    return bgr


def _bricks(bgr: Picture, joint: Colour, step: int) -> None:
    height, width = bgr.shape[:2]
    for row, y in enumerate(range(0, height, step)):
        cv2.line(bgr, (0, y), (width, y), joint, 1)
        for x in range((row % 2) * step, width, 2 * step):
            cv2.line(bgr, (x, y), (x, y + step), joint, 1)


def floor(rng: np.random.Generator, height: int, width: int, vanish_x: int) -> Picture:
    """A floor seen from above its near edge: planks or tiles that run towards a vanishing point."""
    colour = pick(rng, FLOORS)
    bgr = np.full((height, width, 3), colour, np.uint8)
    mottle(bgr, rng, amount=5.0)
    joint = shade(colour, float(rng.choice([0.7, 1.2])))
    spread = int(rng.integers(40, 90))
    for x in range(-width, 2 * width, spread):
        cv2.line(bgr, (vanish_x + (x - vanish_x) // 3, 0), (x, height), joint, 1, cv2.LINE_AA)
    if rng.random() < 0.6:
        for k in range(1, 9):
            y = int(height * (k / 8) ** 1.8)
            cv2.line(bgr, (0, y), (width, y), joint, 1)
    return bgr


def ceiling(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A ceiling with lamps."""
    colour = pick(rng, ((206, 210, 212), (170, 176, 180), (90, 94, 98)))
    bgr = np.full((height, width, 3), colour, np.uint8)
    mottle(bgr, rng, amount=3.0)
    step = int(rng.integers(150, 320))
    for x in range(int(rng.integers(0, step)), width, step):
        size = int(rng.integers(30, 70))
        lamp = np.array(
            [
                [x, height // 3],
                [x + size, height // 3],
                [x + size + 8, height * 2 // 3],
                [x - 8, height * 2 // 3],
            ]
        )
        cv2.fillPoly(bgr, [lamp.astype(np.int32)], (236, 250, 252))
    cv2.line(bgr, (0, height - 1), (width, height - 1), shade(colour, 0.7), 3)
    return bgr


def outlook(rng: np.random.Generator, height: int, width: int) -> Picture:
    """What is seen through glass: a street with sky, houses and green, or a lit room behind."""
    bgr = np.empty((height, width, 3), np.uint8)
    if rng.random() < 0.6:
        horizon = int(height * rng.uniform(0.35, 0.65))
        bgr[:horizon] = pick(rng, SKIES)
        bgr[horizon:] = pick(rng, ((120, 122, 124), (150, 160, 164), (70, 110, 80)))
        for _ in range(int(rng.integers(3, 8))):
            x, w = int(rng.integers(-20, width)), int(rng.integers(14, 60))
            top = horizon - int(rng.integers(4, max(6, horizon // 2)))
            colour = pick(rng, GREENS if rng.random() < 0.5 else WALLS)
            cv2.rectangle(bgr, (x, top), (x + w, horizon + int(rng.integers(0, 14))), shade(colour, 0.85), -1)
    else:
        bgr[:] = pick(rng, ((120, 150, 166), (150, 156, 160), (84, 96, 108)))
        edge = int(height * rng.uniform(0.6, 0.8))
        bgr[edge:] = shade(pick(rng, FLOORS), 0.9)
        for _ in range(3):
            x, y = int(rng.integers(0, width)), int(rng.integers(0, max(1, edge // 2)))
            cv2.rectangle(bgr, (x, y), (x + int(rng.integers(10, 40)), y + 6), (230, 246, 250), -1)
    return np.asarray(cv2.blur(bgr, (5, 5)), dtype=np.uint8)


def glass(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A pane (height, width, 3): outlook, tint and slanted reflections."""
    bgr = outlook(rng, height, width)
    tint = np.array(pick(rng, ((196, 202, 170), (206, 196, 176), (180, 196, 180), (150, 140, 120))), np.float32)
    strength = float(rng.uniform(0.12, 0.4))
    bgr = (bgr * (1 - strength) + tint * strength).astype(np.uint8)
    shine = bgr.copy()
    slant = int(rng.uniform(0.2, 0.7) * height)
    for _ in range(int(rng.integers(1, 4))):
        x, w = int(rng.integers(-slant, width)), int(rng.integers(6, 34))
        streak = np.array([[x, height], [x + w, height], [x + w + slant, 0], [x + slant, 0]], np.int32)
        cv2.fillPoly(shine, [streak], (250, 250, 246))
    weight = float(rng.uniform(0.15, 0.4))
    return np.asarray(cv2.addWeighted(shine, weight, bgr, 1 - weight, 0), dtype=np.uint8)
