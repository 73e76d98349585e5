"""Turns yt-dlp's exceptions and messages into the reason words of DESIGN §6. Pure: no network, no yt-dlp."""

import errno
import re
import socket
from collections.abc import Iterator

from data_miner.errors import JobError, LaterError, NeverError, SiteError, SuspectError
from data_miner.sources.base import Skipped

Outcome = JobError | Skipped

# Words of YouTube, Vimeo, TikTok and yt-dlp's own, most telling first: "Video unavailable. This content isn't
# available, try again later" is a rate limit, "… has blocked it in your country" is geo, neither is gone.
_WORDS: tuple[tuple[str, type[Outcome], str], ...] = (
    (r"no space left|disk quota exceeded", LaterError, "disk_full"),
    (
        r"not a (ro)?bot|captcha|unusual traffic|verify (that )?you are (a )?human|anti-bot|are you human",
        SiteError,
        "bot_check",
    ),
    (r"is.?n.t available, try again later", SuspectError, "rate_limited"),
    (r"rate.?limit|too many requests|quota exceeded", SiteError, "rate_limited"),
    (
        r"requested format is not available|no video formats|only images are available|\bnsig|signature"
        r"|not available on this app|unable to extract|failed to (extract|parse)|player response",
        SuspectError,
        "extractor_broken",
    ),
    (r"\bdrm\b", NeverError, "unreadable"),
    (r"unsupported url|is not a valid url|no suitable extractor", NeverError, "unreadable"),
    (r"will begin in|premieres in|not currently live|is offline|waiting for stream", Skipped, "live"),
    (
        r"members.?only|join this channel|channel.s members|premium members|requires? (payment|purchase)"
        r"|\bpaid\b|\brent(al|ed)?\b|subscribers?.only",
        Skipped,
        "members_only",
    ),
    (
        r"confirm your age|age.?(restrict|verif|gate|limit)|inappropriate for some users|adults? only",
        Skipped,
        "age",
    ),
    (r"geo.?(restrict|block)|your (country|location|region)|not available in the country", Skipped, "geo"),
    (
        r"private|\blog.?in|sign in|registered users|account cookies|password|not authori[sz]ed",
        Skipped,
        "private",
    ),
    (
        r"temporar(y|ily)|check back later|try again later|fragment \d+ not found",
        LaterError,
        "network",
    ),
    (
        r"unavailable|removed|deleted|terminated|suspended|no longer|does ?n.t exist|does not exist"
        r"|not found|not available|copyright|has ended|taken down",
        Skipped,
        "gone",
    ),
    (
        r"timed out|name resolution|name or service|connection (refused|reset|aborted|broken)|unreachable"
        r"|bytes read|more expected|expected \d+ bytes|remote end closed",
        LaterError,
        "network",
    ),
)
_TABLE = tuple((re.compile(pattern, re.I), kind, reason) for pattern, kind, reason in _WORDS)
_STATUS: dict[int, tuple[type[Outcome], str]] = {
    401: (Skipped, "private"),
    402: (Skipped, "members_only"),
    403: (SuspectError, "extractor_broken"),
    404: (Skipped, "gone"),
    407: (LaterError, "network"),
    408: (LaterError, "network"),
    410: (Skipped, "gone"),
    429: (SiteError, "rate_limited"),
    451: (Skipped, "geo"),
}
_BOT_PAGE = re.compile(
    r"not a (ro)?bot|unusual traffic|verify (that )?you are (a )?human|are you (a )?human"
    r"|(solve|complete|enter) (the|this) captcha|attention required! \| cloudflare|checking your browser",
    re.I,
)
_SCRIPTS = re.compile(r"<(script|style)\b.*?</\1\s*>", re.I | re.S)
_NOISE = re.compile(r"^(?:ERROR:\s*)?(?:\[[^\]]*\]\s*)?|;?\s*please report this issue on.*", re.I | re.S)
_DETAIL_LIMIT = 300  # characters


def classify(error: BaseException | str, status: int | None = None) -> Outcome:
    """Name what went wrong: a JobError with its retry rule, or Skipped when the site does not give the video.

    `status` is the HTTP status when the caller knows it; else it is looked for in the error's causes.
    What is in no table counts as `extractor_broken`: alone it is the video's, five in a row are the site's.
    """
    chain = list(causes(error)) if isinstance(error, BaseException) else []
    known = next((one for one in chain if isinstance(one, (JobError, Skipped))), None)
    if known is not None:
        return known
    said = list(filter(None, map(_said_by, chain))) if chain else [str(error)]
    text = " | ".join(said)
    status = status or next((s for s in map(_status_of, chain) if s), None) or _status_in(text)
    kind, reason = _kind_of(chain, text, status)
    return kind(reason, detail_of(said[0] if said else ""))


def is_bot_page(html: str) -> bool:
    """Tell whether a page asks its reader to prove to be human. Scripts are not read: many load a captcha."""
    return _BOT_PAGE.search(_SCRIPTS.sub(" ", html)) is not None


def is_blocked(message: str) -> bool:
    """Tell whether a mere warning says that site or network refused, so that "0 results" is no answer."""
    return isinstance(classify(message), (SiteError, LaterError)) or "403" in message


def detail_of(text: str) -> str:
    """Shorten a message of yt-dlp to one line without its prefix and its request to report the bug."""
    line = " ".join(_NOISE.sub("", text).split())
    return line if len(line) <= _DETAIL_LIMIT else line[: _DETAIL_LIMIT - 1] + "…"


def _kind_of(chain: list[BaseException], text: str, status: int | None) -> tuple[type[Outcome], str]:
    if any(isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in chain):
        return LaterError, "disk_full"
    by_name = {type(one).__name__ for one in chain}
    if "UnsupportedError" in by_name:  # its message is the URL, whose words mean nothing
        return NeverError, "unreadable"
    found = next(((kind, reason) for word, kind, reason in _TABLE if word.search(text)), None)
    if status is not None and (found is None or found[1] != "bot_check"):
        if status >= 500:
            return LaterError, "network"
        if status in _STATUS:
            return _STATUS[status]
    if "GeoRestrictedError" in by_name:
        return Skipped, "geo"
    if "TransportError" in by_name or any(isinstance(one, _NETWORK) for one in chain):
        return LaterError, "network"
    return found or (SuspectError, "extractor_broken")


_NETWORK = (socket.gaierror, TimeoutError, ConnectionError)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk an error and what it says it was caused by, each once; not what merely happened before."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if type(one).__name__ == "DownloadError":
            waiting.append(_behind(one))
        waiting += [getattr(one, "cause", None), one.__cause__, getattr(one, "reason", None)]


def _behind(error: BaseException) -> object:
    """Find what a DownloadError stands for; of itself it names the innermost exception only."""
    if hasattr(error.__context__, "orig_msg"):
        return error.__context__
    return (getattr(error, "exc_info", None) or (None, None))[1]


def _said_by(error: BaseException) -> str:
    """Read the message without the video's id, which yt-dlp puts in front and which may say anything."""
    if type(error).__name__ == "DownloadError" and _behind(error) is not None:
        return ""
    return str(getattr(error, "orig_msg", None) or error)


def _status_of(error: BaseException) -> int | None:
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _status_in(message: str) -> int | None:
    found = re.search(r"HTTP Error (\d{3})", message)
    return int(found[1]) if found else None
