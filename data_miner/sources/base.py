"""What every source shares: a video's id, its site, and the word for what a site does not give.

yt-dlp itself is imported inside the one function that needs its list of sites.
"""

import hashlib
import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from data_miner.sources.safety import safe_name

_YOUTUBE = re.compile(
    r"ytsearch\w*:|https?://(?:[\w-]+\.)*(?:youtube\.com|youtu\.be|youtube-nocookie\.com)(?:[/?#]|$)", re.I
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NATIVE_ID_LIMIT = 100  # characters; YouTube's ids have 11, the longest of other sites seen about 60


class Skipped(Exception):  # noqa: N818  a verdict, not an error: it travels as an exception, but nothing failed
    """This video is not given: gone private members_only geo age live by its site, forgotten by us. See `reason`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, self.detail)


@lru_cache(maxsize=4096)
def site_of(url: str) -> str:
    """Name who is asked: the family of yt-dlp's extractor, or host[:port] where only the generic one fits.

    A family is the module of yt-dlp that knows the site, so that a search, a channel and a video of one site
    share one pace. The first call for a site other than YouTube or a bare address imports yt-dlp (about 1 s).
    """
    if _YOUTUBE.match(url):
        return "youtube"
    if _is_bare_address(url):
        return _host_of(url)
    family = _family_of(url)
    return _host_of(url) if family == "generic" else family


def family_of_extractor(extractor_class: object) -> str:
    """Name the family of a (lazy) extractor class of yt-dlp, lower-case."""
    module = str(getattr(extractor_class, "_module", None) or getattr(extractor_class, "__module__", ""))
    return module.removeprefix("yt_dlp.extractor.").split(".")[0].lower()


def generic_id(url: str) -> str:
    """Hash a URL to 16 hex digits; yt-dlp itself calls `/a/clip.mp4` and `/b/clip.mp4` both `clip`.

    Scheme and host are lower-cased; default port, user, fragment and dot segments go; the query is kept.
    """
    return hashlib.sha256(normalised(url).encode()).hexdigest()[:16]


def normalised(url: str) -> str:
    """Write a URL the one way that stands for all its spellings (RFC 3986 §6.2.2, §6.2.3)."""
    parts = urlsplit(url.strip())
    scheme = parts.scheme.lower()
    return urlunsplit((scheme, _host_of(url), _without_dot_segments(parts.path) or "/", parts.query, ""))


def video_id(extractor_key: str, native_id: str, url: str) -> str:
    """Name a video `<extractor>:<native id>`, safe as part of a path; `generic_id` names the others."""
    extractor = extractor_key.lower()
    if extractor in ("", "generic", "html5mediaembed") or not native_id:
        return f"generic:{generic_id(url)}"
    return f"{safe_name(extractor, 40)}:{safe_name(native_id, _NATIVE_ID_LIMIT)}"


def _family_of(url: str) -> str:
    from yt_dlp.extractor import gen_extractor_classes

    return next((family_of_extractor(ie) for ie in gen_extractor_classes() if ie.suitable(url)), "generic")


def _is_bare_address(url: str) -> bool:
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return False
    return True


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        host, port = str(parts.hostname or "").lower(), parts.port
    except ValueError:  # "http://host:notaport/"
        return "generic"
    if not host:
        return "generic"
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, _DEFAULT_PORTS.get(parts.scheme.lower())) else f"{host}:{port}"


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", "..") and kept and kept[-1]:
        kept.append("")
    return "/".join(kept)
