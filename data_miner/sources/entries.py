"""Turns what yt-dlp says of a video, in a list or on its page, into a VideoInfo fit to be stored."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from data_miner.records import VideoInfo
from data_miner.sources.base import family_of_extractor, site_of, video_id

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # PostgreSQL takes no NUL, a terminal no escapes
_TEXT_LIMIT = 5000  # characters of a description
_LINE_LIMIT = 500  # characters of a title or a name
_TAG_LIMIT = 200

# What a match filter, a report or a later verdict may ask for; no cookies, headers or media URLs.
_FIELDS = (
    "age_limit availability average_rating categories channel_follower_count channel_id comment_count"
    " description display_id duration_string dynamic_range extractor_key fps height is_live language"
    " like_count live_status location media_type playable_in_embed playlist_title release_timestamp"
    " resolution series timestamp view_count was_live width"
)


def video_of(info: Mapping[str, Any], *, url: str | None = None) -> VideoInfo:
    """Read an info dict of yt-dlp, flat or full. `url` stands in where a page has several videos."""
    url = url or _address_of(info)
    key, native_id, site = _identity(info, url)
    return VideoInfo(
        id=video_id(key, native_id, url),
        url=url,
        site=site,
        title=_line(info.get("title")),
        uploader=_line(info.get("uploader") or info.get("channel")),
        uploader_id=_line(info.get("uploader_id") or info.get("channel_id")),
        channel=_line(info.get("channel")),
        license=_line(info.get("license")),
        upload_date=_upload_date(info),
        duration_s=_seconds(info.get("duration")),
        tags=tuple(filter(None, map(_line, (info.get("tags") or [])[:_TAG_LIMIT]))),
        extra={name: _plain(info[name]) for name in _FIELDS.split() if info.get(name) is not None},
    )


def _address_of(info: Mapping[str, Any]) -> str:
    """Find the address to ask for later: of a listed entry its `url`, of a full one what was asked for."""
    from yt_dlp.utils import unsmuggle_url

    is_listed = info.get("_type") in ("url", "url_transparent")
    found = info.get("url") if is_listed else info.get("original_url") or info.get("webpage_url")
    address, _ = unsmuggle_url(str(found or info.get("webpage_url") or info.get("url") or ""))
    return str(address)


def _identity(info: Mapping[str, Any], url: str) -> tuple[str, str, str]:
    """Give extractor key, native id and site; a listed entry may name none of them but by its URL."""
    from yt_dlp.extractor import gen_extractor_classes

    named = str(info.get("ie_key") or info.get("extractor_key") or "")
    if named in ("Generic", "HTML5MediaEmbed"):
        return "generic", "", site_of(url)
    for extractor in gen_extractor_classes():
        if extractor.ie_key() == named or (not named and extractor.suitable(url)):
            family = family_of_extractor(extractor)
            if family == "generic":
                break
            native_id = info.get("id") or extractor.get_temp_id(url) or ""
            return extractor.ie_key(), str(native_id), family
    return "generic", "", site_of(url)


def _upload_date(info: Mapping[str, Any]) -> str:
    date = str(info.get("upload_date") or "")
    if re.fullmatch(r"\d{8}", date):
        return date
    try:
        return datetime.fromtimestamp(float(info["timestamp"]), UTC).strftime("%Y%m%d")
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return ""


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < 1e9 else None


def _line(value: Any) -> str:
    return " ".join(_text(value).split())[:_LINE_LIMIT] if isinstance(value, (str, int, float)) else ""


def _text(value: Any) -> str:
    return _CONTROL.sub("", str(value).encode("utf-8", "replace").decode())[:_TEXT_LIMIT]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_line(one) for one in value[:_TAG_LIMIT]]
    return _text(value)
