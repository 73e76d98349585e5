"""File names of images: readable for tame ids, safe for hostile ones, different for different frames."""

import hashlib
import re

_TAME_SITE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_TAME_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WILD = re.compile(r"[^A-Za-z0-9_-]+")


def image_name(video_id: str, pts_ms: int) -> str:
    """`<extractor>_<id>_<pts_ms, 9 digits>.jpg` of a frame, at most 150 ASCII characters.

    An id that could not be a file name everywhere is shortened and gets `.` and 16 hex digits of its sha256;
    a tame id holds no `.`, so no two ids share a name.
    """
    return f"{video_name(video_id)}_{pts_ms:09d}.jpg"


def video_name(video_id: str) -> str:
    """The part of an image's name that stands for its video: `youtube:a-b` is `youtube_a-b`."""
    site, _, native = video_id.partition(":")
    if _TAME_SITE.fullmatch(site) and _TAME_ID.fullmatch(native):
        return f"{site}_{native}"
    digest = hashlib.sha256(video_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    site, native = _WILD.sub("-", site)[:40].strip("-_").lower(), _WILD.sub("-", native)[:48].strip("-_")
    return f"{site or 'video'}_{native}.{digest}" if native else f"{site or 'video'}.{digest}"
