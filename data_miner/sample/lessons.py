"""What the tiny scorer learns from: pictures as its processor makes them, subjects, a name for each patch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_miner.sample import camera
from data_miner.sample.objects import DRAW
from data_miner.sample.pictures import CAPTION_SHARES, TRAIN_SEED, Labelled, pictures

SIDE_PX, PATCH_PX = 128, 16
SHIFT_PX = 8
_NAMES = ("nothing", *DRAW, "corridor", "title")
PATCH_KINDS = len(_NAMES)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some lessons, changed at random."""

    pixels: Any  # float (N, 3, side, side), -1 to 1
    patches: Any  # int64 (N, patches): index of what lies under the middle of each
    subjects: list[str | None]


class Lessons:
    """A set of drawn pictures in memory: uint8, 50 kB each."""

    def __init__(self, looks: Any, count: int) -> None:
        import torch

        images, maps = [], []
        self._subjects: list[str | None] = []
        for one in pictures(TRAIN_SEED + 2, count, CAPTION_SHARES):
            pixels = looks(images=[one.bgr[:, :, ::-1].copy()], return_tensors="pt")["pixel_values"][0]
            images.append((pixels * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8))
            maps.append(torch.from_numpy(_map(one)))
            self._subjects.append(one.subject)
        self._images, self._maps = torch.stack(images), torch.stack(maps)

    def __len__(self) -> int:
        return len(self._subjects)

    def batch(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """These lessons, mirrored or not, shifted by up to 8 px, in other light and contrast."""
        import torch

        pixels = self._images[chosen].float() / 127.5 - 1
        maps = self._maps[chosen].float()[:, None]
        if rng.random() < 0.5:
            pixels, maps = pixels.flip(3), maps.flip(3)
        top, left = (int(value) for value in rng.integers(0, 2 * SHIFT_PX + 1, 2))
        pixels, maps = _shifted(pixels, top, left), _shifted(maps, top, left)
        gains = torch.from_numpy(rng.uniform(0.8, 1.2, (len(chosen), 3, 1, 1)).astype(np.float32))
        lifts = torch.from_numpy(rng.uniform(-0.15, 0.15, (len(chosen), 3, 1, 1)).astype(np.float32))
        middle = PATCH_PX // 2
        return Batch(
            pixels=(pixels * gains + lifts).clamp(-1, 1),
            patches=maps[:, 0, middle::PATCH_PX, middle::PATCH_PX].flatten(1).long(),
            subjects=[self._subjects[k] for k in chosen],
        )


def _shifted(images: Any, top: int, left: int) -> Any:
    import torch

    padded = torch.nn.functional.pad(images, (SHIFT_PX,) * 4, mode="reflect")
    return padded[:, :, top : top + SIDE_PX, left : left + SIDE_PX]


def _map(one: Labelled) -> NDArray[np.uint8]:
    """What lies where, (side, side), as indices of _NAMES."""
    drawn = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    if one.subject in ("corridor", "title"):
        drawn[:] = _NAMES.index(one.subject)
    for boxes_by_kind in (one.seen.partial, one.seen.boxes):
        for kind, boxes in boxes_by_kind.items():
            for x1, y1, x2, y2 in boxes:
                left, right = (int(x * SIDE_PX / camera.WIDTH_PX) for x in (x1, x2))
                top, bottom = (int(y * SIDE_PX / camera.HEIGHT_PX) for y in (y1, y2))
                drawn[top:bottom, left:right] = _NAMES.index(kind)
    return drawn
