"""A camera before a view: what it sees and what falls into its picture; noise, light and passers-by."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from data_miner.sample.scenes import FLOOR_PX, View
from data_miner.sample.surfaces import Picture

WIDTH_PX, HEIGHT_PX = 480, 360
VISIBLE_SHARE = 0.35  # of a thing's own area; less than that in the picture is not truth
VISIBLE_SIDE_PX = 18

Rectangle = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the picture


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the camera looks, in pixels of the view."""

    x: float
    y: float
    width: float  # of the part that fills the picture
    yaw: float = 0.0  # keystone: -0.15 to 0.15
    roll: float = 0.0  # radians


@dataclass(frozen=True, slots=True)
class Truth:
    """What a picture shows: boxes by kind, and things too little visible to count."""

    boxes: dict[str, list[Rectangle]] = field(default_factory=dict)
    partial: dict[str, list[Rectangle]] = field(default_factory=dict)


def homography(aim: Aim) -> NDArray[np.float32]:
    """The 3x3 matrix from the view's pixels to the picture's."""
    half_w, half_h = aim.width / 2, aim.width * HEIGHT_PX / WIDTH_PX / 2
    left, right = half_h * (1 + aim.yaw), half_h * (1 - aim.yaw)
    corners = np.array([[-half_w, -left], [half_w, -right], [half_w, right], [-half_w, left]], np.float32)
    turn = np.array([[np.cos(aim.roll), -np.sin(aim.roll)], [np.sin(aim.roll), np.cos(aim.roll)]], np.float32)
    seen = corners @ turn.T + np.array([aim.x, aim.y], np.float32)
    target = np.array([[0, 0], [WIDTH_PX, 0], [WIDTH_PX, HEIGHT_PX], [0, HEIGHT_PX]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(seen.astype(np.float32), target), dtype=np.float32)


def photograph(view: View, matrix: NDArray[np.float32]) -> Picture:
    """The part of the view that the camera sees, bgr (360, 480, 3)."""
    picture = cv2.warpPerspective(
        view.bgr, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(picture, dtype=np.uint8)


def truth(view: View, matrix: NDArray[np.float32]) -> Truth:
    """Boxes of the view's things in the picture, cut at its edges."""
    found = Truth()
    for thing in view.things:
        x1, y1, x2, y2 = thing.box
        quad = np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], np.float32)
        points = cv2.perspectiveTransform(quad, matrix)[0]
        low, high = points.min(axis=0), points.max(axis=0)
        left, top = max(0.0, float(low[0])), max(0.0, float(low[1]))
        right, bottom = min(float(WIDTH_PX), float(high[0])), min(float(HEIGHT_PX), float(high[1]))
        if right <= left or bottom <= top:
            continue
        share = (right - left) * (bottom - top) / float(np.prod(high - low))
        clear = share >= VISIBLE_SHARE and min(right - left, bottom - top) >= VISIBLE_SIDE_PX
        kinds = found.boxes if clear else found.partial
        kinds.setdefault(thing.kind, []).append((round(left, 1), round(top, 1), round(right, 1), round(bottom, 1)))
    return found


def subject(view: View, seen: Truth) -> str | None:
    """What a caption of the picture would name, or None where people would differ.

    A glass door that fills 4 % of the picture names it; one that is hardly in view makes it doubtful.
    """
    if view.kind in ("corridor", "title"):
        return view.kind
    areas = {kind: max(_area(box) for box in boxes) for kind, boxes in seen.boxes.items()}
    share = areas.get("glass_door", 0.0) / (WIDTH_PX * HEIGHT_PX)
    if share >= 0.04:
        return "glass_door"
    if share > 0 or "glass_door" in seen.partial:
        return None
    rivals = [kind for kind in ("wooden_door", "window") if areas.get(kind, 0.0) >= 0.04 * WIDTH_PX * HEIGHT_PX]
    return rivals[0] if len(rivals) == 1 else None


def _area(box: Rectangle) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def noise_plates(rng: np.random.Generator, count: int = 5, sigma: float = 2.5) -> list[Picture]:
    """Sensor noise around 128, to be added by `expose`; a few plates suffice for a film."""
    plates = []
    for _ in range(count):
        luma = rng.normal(128, sigma, (HEIGHT_PX, WIDTH_PX)).clip(0, 255).astype(np.uint8)
        plates.append(np.asarray(cv2.merge([luma, luma, luma]), dtype=np.uint8))
    return plates


def expose(picture: Picture, plate: Picture, gain: float = 1.0) -> Picture:
    """Add sensor noise and scale the light; gain 1 is a lit room, .06 a dark one."""
    weight = min(1.0, gain * 2)
    return np.asarray(cv2.addWeighted(picture, gain, plate, weight, -128 * weight), dtype=np.uint8)


def draw_person(picture: Picture, matrix: NDArray[np.float32], x: float, tone: int, stride: float) -> None:
    """A dark silhouette that stands at x of the view, before the wall, in place. stride: -1 to 1."""
    points = np.array([[[x, FLOOR_PX + 30], [x, FLOOR_PX - 190]]], np.float32)
    foot, head = cv2.perspectiveTransform(points, matrix)[0]
    tall = float(foot[1] - head[1])
    fx, fy, hx, hy = float(foot[0]), float(foot[1]), float(head[0]), float(head[1])
    coat, skin = (tone, tone // 2 + 20, tone // 3 + 10), (110, 140, 190)
    hip, shoulder, wide = fy - tall * 0.45, hy + tall * 0.16, tall * 0.11
    body = [(hx - wide, shoulder), (hx + wide, shoulder), (hx + wide * 0.8, hip), (hx - wide * 0.8, hip)]
    cv2.fillConvexPoly(picture, np.array(body, np.int32), coat, cv2.LINE_AA)
    for side in (-1, 1):
        knee = (int(fx + side * stride * tall * 0.12), int(fy))
        cv2.line(picture, (int(fx), int(hip)), knee, (40, 36, 34), max(2, int(tall * 0.07)), cv2.LINE_AA)
    cv2.circle(picture, (int(hx), int(hy + tall * 0.07)), max(2, int(tall * 0.07)), skin, -1, cv2.LINE_AA)
