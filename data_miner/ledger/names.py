"""What a name that a person has in hand may mean: an image, a video, a moment. Text only; `lookup` asks the ledger."""

import re
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

_PICTURE = re.compile(r"(?P<video>.+)_(?P<pts_ms>\d{9,15})")
_ENDING = re.compile(r"\.(jpe?g|png|webp|txt)$", re.IGNORECASE)
_ROBOFLOW = re.compile(r"_(jpe?g|png)\.rf\.[0-9A-Za-z]+$")  # how Roboflow names its copies
_LABEL_STUDIO = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts in front of them
_HASHED = re.compile(r"\.([0-9a-f]{16})$")  # see export.names
_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_YOUTUBE = re.compile(r"(?:.+\.)?(?:youtube\.com|youtu\.be|youtube-nocookie\.com)")
_BARE_ADDRESS = re.compile(r"(?:www\.|m\.|music\.)?(?:youtube\.com|youtu\.be)/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a name. Any of ids, native, digest, urls and base_name may lead to the video."""

    pts_ms: int | None = None  # the picture's own time, when the name is a picture's
    second: int | None = None  # the time an address opens at
    ids: tuple[str, ...] = ()  # of videos: extractor:native
    native: str | None = None  # an id whose extractor is not said
    digest: str | None = None  # first 16 hex digits of the id's sha256, where the id could not be a file name
    urls: tuple[str, ...] = ()
    base_name: str | None = None  # of a local file


def readings(text: str) -> list[Reading]:
    """Every way to read a name, the most literal first."""
    text = clean(text)
    if _BARE_ADDRESS.match(text):
        text = f"https://{text}"
    if text.startswith(("http://", "https://")):
        return [_address(text), *_pictures(PurePath(unquote(re.split("[?#]", text)[0])).name)]
    bare, second = _moment(text)
    ids = (bare,) if ":" in bare else ()
    found = [Reading(second=second, ids=ids, native=bare, urls=(bare,))]
    name = PurePath(bare.replace("\\", "/")).name
    return [*found, *_pictures(name), Reading(second=second, base_name=name)]


def clean(text: str) -> str:
    """The text without what the ledger cannot even be asked for."""
    return text.encode("utf-8", "replace").decode().replace("\0", "").strip()


def picture_of(text: str) -> tuple[str, int] | None:
    """Split an image's name, with or without folder and ending, into its video's part and its time in ms.

    Endings that Roboflow puts behind a name are read over; None when it is no image's name.
    """
    name = _ENDING.sub("", PurePath(text.replace("\\", "/")).name)
    found = _PICTURE.fullmatch(_ROBOFLOW.sub("", name))
    return (found["video"], int(found["pts_ms"])) if found else None


def seconds(text: str) -> int | None:
    """Whole seconds of a time as addresses write it: 83, 83s, 1m23s, npt:83.5, 0:01:23, 83,90; None: no time."""
    text = text.removeprefix("npt:").partition(",")[0]
    if not text or len(text) > 20:
        return None
    if re.fullmatch(r"(?:\d+:)?\d+:\d+(?:\.\d+)?", text):
        total = 0.0
        for part in text.split(":"):
            total = 60 * total + float(part)
        return int(total)
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return int(3600 * hours + 60 * minutes + rest)


def _pictures(name: str) -> list[Reading]:
    split = picture_of(name)
    if split is None:
        return []
    if found := _LABEL_STUDIO.match(name):
        return [*_read(*split), *_pictures(name[found.end() :])]
    return _read(*split)


def _read(video: str, pts_ms: int) -> list[Reading]:
    hashed = _HASHED.search(video)
    if hashed is not None:
        return [Reading(pts_ms, digest=hashed[1])]
    site, _, native = video.partition("_")
    return [Reading(pts_ms, ids=(video, f"{site}:{native}")), Reading(pts_ms, native=video)]


def _moment(text: str) -> tuple[str, int | None]:
    """Cut a media fragment off: `clip.mp4#t=83`, as the manifest writes local files."""
    bare, mark, fragment = text.rpartition("#")
    second = _asked(fragment) if mark else None
    return (bare, second) if second is not None else (text, None)


def _asked(query: str) -> int | None:
    times = [value for name, value in parse_qsl(query) if name in ("t", "start", "time_continue")]
    return seconds(times[0]) if times else None


def _address(text: str) -> Reading:
    """An address without its time, and the time; of YouTube's the id, in whatever form they are written."""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").lower()
    except ValueError:  # a bracket that closes nothing
        return Reading(urls=(text,))
    second = _asked(parts.fragment)
    if second is None:
        second = _asked(parts.query)
    timeless = [(name, value) for name, value in parse_qsl(parts.query, True) if name not in ("t", "start")]
    bare = urlunsplit(parts._replace(fragment=""))
    without = urlunsplit(parts._replace(fragment="", query=urlencode(timeless)))
    fragment = "&".join(part for part in parts.fragment.split("&") if not part.startswith("t="))
    kept = urlunsplit(parts._replace(fragment=fragment))
    ids = _youtube(host, parts.path, dict(timeless)) if _YOUTUBE.fullmatch(host) else ()
    return Reading(second=second, ids=ids, urls=tuple(dict.fromkeys((text, kept, bare, without))))


def _youtube(host: str, path: str, query: dict[str, str]) -> tuple[str, ...]:
    steps = [step for step in path.split("/") if step]
    named = [query.get("v", ""), *(steps[:1] if host.endswith("youtu.be") else steps[1:2])]
    return tuple(f"youtube:{name}" for name in named if _YOUTUBE_ID.fullmatch(name))
