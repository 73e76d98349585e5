"""Verdicts on a video before its bytes: pure functions of the stored record and the project's wishes."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_miner.errors import ConfigError
from data_miner.records import VideoInfo

_CLAUSES = re.compile(r"(?<!\\)&")  # how yt-dlp splits a match filter
_CLAUSE = re.compile(r"\s*!?\s*([a-z_]+)\s*(!?\s*(?:<=|>=|<|>|=))?")
_DOUBLED = re.compile(r"[a-z_]\s*!?\s*(?:<=|>=|=|<|>)(?!=)\s*\??\s*[<>=]")
_HASHTAG = re.compile(r"#(\w+)")
_LIVE = ("is_live", "is_upcoming", "post_live")
_CREATIVE_COMMONS = re.compile(r"creative.?commons|\bcc[ -]?(by|0)\b|public.?domain", re.I)
# A record that has every kind of value, so that each clause of a filter is read to its end.
_PROBE = {"duration": 60, "view_count": 1, "like_count": 1, "is_live": False, "title": "x", "uploader": "x"}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a project wants of a video, in the words of its `download` section."""

    match_filters: str | None = None  # yt-dlp's own language
    skip_keywords: tuple[str, ...] = ()  # in title, tags or #hashtags, as whole words
    license: str = "any"  # any | creative_commons


def policy_of(params: Mapping[str, Any]) -> Policy:
    """Read back a policy that was stored as JSON under "policy"."""
    stored = params["policy"]
    return Policy(stored["match_filters"], tuple(stored["skip_keywords"]), stored["license"])


def judge(info: VideoInfo, policy: Policy, *, is_listed_only: bool = False) -> str | None:
    """Say why a video is not wanted (keyword too_long too_short live license match_filter), or None.

    `is_listed_only` is for what a search shows: a value that is missing there may come with the page and
    passes. On the page a missing value fails unless the filter says `?`, as in yt-dlp. A stream that is live,
    announced or just over is never wanted: its file has no end yet.
    """
    if info.extra.get("is_live") or info.extra.get("live_status") in _LIVE:
        return "live"
    if has_keyword(info, policy.skip_keywords):
        return "keyword"
    if policy.license == "creative_commons" and not _is_free(info, is_listed_only):
        return "license"
    return _failed_clause(info, policy.match_filters, is_listed_only) if policy.match_filters else None


def has_keyword(info: VideoInfo, keywords: tuple[str, ...]) -> bool:
    """Tell whether a keyword stands in title, tags or #hashtags, whatever its case and spacing."""
    description = str(info.extra.get("description") or "")
    hashtags = {_folded(tag) for tag in _HASHTAG.findall(f"{info.title} {description}")}
    texts = [_folded(text) for text in (info.title, *info.tags)]
    for words in (_folded(keyword).split() for keyword in keywords):
        whole = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)")
        if words and (any(map(whole.search, [*texts, *hashtags])) or "".join(words) in hashtags):
            return True
    return False


def check_match_filter(text: str, where: str = "download.match_filters") -> None:
    """Raise ConfigError when yt-dlp would not understand a match filter; none at all is fine."""
    from yt_dlp.utils import match_str

    for clause in _CLAUSES.split(text) if text.strip() else ():
        try:
            if _DOUBLED.search(clause):  # yt-dlp takes "duration => 20" for the text "> 20"
                raise ValueError(clause)
            match_str(clause, dict(_PROBE))
        except (ValueError, TypeError, re.error) as error:
            example = 'like "duration >? 20 & !is_live"'
            raise ConfigError(f"{where}: yt-dlp does not understand {clause.strip()!r}: write it {example}") from error


def match_dict(info: VideoInfo) -> dict[str, Any]:
    """Spell a record with yt-dlp's names, for its match filters."""
    named: Mapping[str, Any] = {
        "id": info.id.partition(":")[2],
        "webpage_url": info.url,
        "title": info.title,
        "uploader": info.uploader,
        "uploader_id": info.uploader_id,
        "channel": info.channel,
        "license": info.license,
        "upload_date": info.upload_date,
        "duration": info.duration_s,
        "tags": list(info.tags),
    }
    known = {name: value for name, value in named.items() if value not in (None, "", [])}
    return {**info.extra, **known}


def _failed_clause(info: VideoInfo, filters: str, is_listed_only: bool) -> str | None:
    from yt_dlp.utils import match_filter_func, match_str

    values = match_dict(info)
    if values.get("live_status") == "not_live":
        values.setdefault("is_live", False)
    if match_filter_func(filters)(values, is_listed_only) is None:
        return None
    clause = next(one for one in _CLAUSES.split(filters) if not match_str(one, values, is_listed_only))
    return _reason_for(clause)


def _reason_for(clause: str) -> str:
    found = _CLAUSE.match(clause)
    name, operator = (found[1], (found[2] or "").replace(" ", "")) if found else ("", "")
    if name == "duration" and operator in (">", ">=", "!<", "!<="):
        return "too_short"
    if name == "duration" and operator in ("<", "<=", "!>", "!>="):
        return "too_long"
    return "live" if name in ("is_live", "live_status") else "match_filter"


def _is_free(info: VideoInfo, is_listed_only: bool) -> bool:
    if not info.license:
        return is_listed_only
    return _CREATIVE_COMMONS.search(info.license) is not None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
