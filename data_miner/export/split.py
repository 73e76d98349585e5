"""Which side of the split a video is on. Drawn once by hash; the ledger keeps what was drawn."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

Side = Literal["train", "val"]


def side(video_id: str, salt: str, train_share: float) -> Side:
    """Side of one video by itself: its place in 0 to 1 (salt: the project's name) against the share."""
    return "train" if place(video_id, salt) < train_share else "val"


def place(video_id: str, salt: str) -> float:
    """The video's fixed place in [0, 1), from the first 53 bits of a sha256."""
    digest = hashlib.sha256(f"{salt}\0{video_id}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def draw_sides(
    video_ids: Iterable[str], existing: Mapping[str, Side], salt: str, train_share: float
) -> dict[str, Side]:
    """Sides of all these videos; an existing one never changes.

    Each new video takes its own side, whatever else is there. One exception: two videos or more leave neither
    side empty (unless its share is 0); the new video nearest to the missing side takes it. So sides drawn at
    once depend on no order; drawn in parts, only the exception depends on what came first. When every old
    video of a side has lost its images and no new one comes, that side stays empty: never changing wins.
    """
    wanted = sorted(set(video_ids))
    sides: dict[str, Side] = {video: existing.get(video) or side(video, salt, train_share) for video in wanted}
    new = sorted((video for video in wanted if video not in existing), key=lambda video: place(video, salt))
    if len(wanted) >= 2 and new:
        if "val" not in sides.values() and train_share < 1:
            sides[new[-1]] = "val"
        elif "train" not in sides.values() and train_share > 0:
            sides[new[0]] = "train"
    return sides
