"""Addresses of videos as people follow them: opened at the second, without secrets. Asking them is elsewhere."""

from pathlib import PurePath
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from data_miner.records import VideoInfo


def url_at(video: VideoInfo, pts_ms: int) -> str:
    """The video's address, opened at the second: `&t=83s` for YouTube, else a media fragment `#t=83`.

    A local file is its bare name. User names and passwords in an address are left out.
    https://www.w3.org/TR/media-frags/#naming-time
    """
    second = pts_ms // 1000
    if not video.url.startswith(("http://", "https://")):
        return f"{PurePath(video.url).name}#t={second}"
    try:
        parts = urlsplit(video.url)
    except ValueError:  # a bracket that closes nothing
        return video.url
    host = parts.netloc.rpartition("@")[2]
    if (parts.hostname or "").removeprefix("www.").removeprefix("m.") in ("youtube.com", "youtu.be"):
        asked = [(name, value) for name, value in parse_qsl(parts.query, True) if name not in ("t", "start")]
        return urlunsplit((parts.scheme, host, parts.path, urlencode([*asked, ("t", f"{second}s")]), ""))
    fragment = f"{parts.fragment}&t={second}" if parts.fragment else f"t={second}"
    return urlunsplit((parts.scheme, host, parts.path, parts.query, fragment))


def plain_address(url: str) -> str:
    """An address without user name and password; what is none stays as it is."""
    if not url.startswith(("http://", "https://")) or "@" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
