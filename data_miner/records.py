"""Frozen records that travel between layers, and the hash that names results. No behaviour lives here."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def key_of(**parts: Any) -> str:
    """Name a result by what it was made from: 16 hex digits of the sha256 of canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Where videos come from, as the project file names it."""

    kind: str  # search | url | folder
    locator: str  # what yt-dlp is asked ("ytsearch40:glass door", a URL), or an absolute path
    site: str | None  # who is asked, None for the local disk


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before its bytes are here. Names are yt-dlp's."""

    id: str  # "<extractor>:<native id>", see DESIGN §2
    url: str  # webpage_url, or the absolute path of a local file
    site: str | None
    title: str = ""
    uploader: str = ""
    uploader_id: str = ""
    channel: str = ""
    license: str = ""
    upload_date: str = ""  # YYYYMMDD, as yt-dlp
    duration_s: float | None = None
    tags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # JSON-able rest: is_live, age_limit, availability, …


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a probe of a media file found. Times are presentation times of the video stream."""

    first_pts_ms: int
    duration_ms: int  # from the first picture to the end of the last
    width: int  # px, as shown: rotation and sample aspect applied
    height: int
    codec: str
    average_fps: float | None


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A fetched or referenced media file."""

    path: Path
    sha256: str
    size_bytes: int
    media: MediaInfo
    info: VideoInfo


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One sampled picture, measured. Where its JPEG lies is (offset, size) in its segment's shard."""

    pts_ms: int
    offset: int  # bytes into the shard
    size_bytes: int
    width: int  # px
    height: int
    sharpness: float  # variance of the Laplacian on the measuring plane
    brightness: float  # mean luma, 0 to 255
    contrast: float  # standard deviation of luma
    phash: int  # unsigned 64 bits


@dataclass(frozen=True, slots=True)
class Box:
    """One detection in pixels of the stored picture."""

    label: str  # a class of the project
    score: float  # 0 to 1
    xyxy: tuple[float, float, float, float]
    prompt: str = ""  # the detector's own word for it
    agreement: int = 1  # detectors that found it
    model: str = ""  # whose box it is, where several voted
    is_human: bool = False  # a person drew or checked it


@dataclass(frozen=True, slots=True)
class FrameScore:
    """Best image-text scores of a frame and the prompts that gave them (None: no such list)."""

    pts_ms: int
    positive: float
    positive_prompt: str
    negative: float | None = None
    negative_prompt: str | None = None
    junk: float | None = None
    junk_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class ExportImage:
    """One image of a dataset version, with everything the writers and the manifest need."""

    name: str  # "<extractor>_<id>_<pts_ms, 9 digits>.jpg"
    shard: str  # artifact key of the shard that holds the JPEG
    offset: int
    size_bytes: int
    width: int
    height: int
    split: str  # train | val
    boxes: tuple[Box, ...]
    video: VideoInfo
    pts_ms: int
    score: FrameScore | None = None
    sharpness: float = 0.0
    brightness: float = 0.0
    config_hash: str = ""
    models: Mapping[str, str] = field(default_factory=dict)  # role (filter, dedup, detect) -> name@digest
    labelled_by: str = "model"  # model | human
    is_empty: bool = False  # a person says that nothing is on it
