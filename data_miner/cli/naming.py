"""What a person means by a name: pictures, videos and uploaders, known ones and those still to be found."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data_miner.errors import DataMinerError
from data_miner.labels.names import frames_meant
from data_miner.ledger import lookup, words
from data_miner.ledger.connection import Cursor
from data_miner.ledger.words import Moment
from data_miner.sources.base import video_id

_VIDEO_ID = re.compile(r"[a-z0-9][a-z0-9_.-]*:[A-Za-z0-9._-]{1,100}")
_UPLOADER_ID = re.compile(r"UC[A-Za-z0-9_-]{22}|@[^\s@]+")


class UnknownNameError(DataMinerError):
    """Nothing is called so; the message names the nearest."""


@dataclass(frozen=True, slots=True)
class Uploader:
    """An uploader under all the names that are his alone, and how people call him."""

    ids: tuple[str, ...]
    name: str
    videos: int  # known ones


@dataclass
class Meaning:
    """What some names mean, each thing once and in their order."""

    pictures: dict[Moment, None] = field(default_factory=dict)
    videos: dict[str, None] = field(default_factory=dict)
    uploaders: dict[str, Uploader] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what a name was taken for, where that may surprise

    @property
    def meant(self) -> words.Meant:
        """As the ledger takes it."""
        ids = [one for uploader in self.uploaders.values() for one in uploader.ids]
        return words.Meant(list(self.pictures), list(self.videos), ids)


def pictures_named(cursor: Cursor, project_id: int, names: Sequence[str]) -> dict[str, Moment]:
    """Those of the names that are of images and say their video themselves: a whole list in one question."""
    moments = {
        name: [(video.replace("_", ":", 1), pts_ms) for video, pts_ms in frames_meant(name)]
        for name in names
        if "://" not in name
    }
    there = words.sampled(cursor, project_id, list({one for meant in moments.values() for one in meant}))
    found = {name: next((one for one in meant if one in there), None) for name, meant in moments.items()}
    return {name: moment for name, moment in found.items() if moment is not None}


def understand(cursor: Cursor, project_id: int, text: str, into: Meaning) -> None:
    """Add what a name means: a picture, a video by id or address, else an uploader. Raises UnknownNameError."""
    moments = [(found.video_id, found.pts_ms) for found in lookup.resolve(cursor, text) if found.pts_ms is not None]
    if moments:
        _add_picture(cursor, project_id, text, moments, into)
        return
    video = video_meant(cursor, text)
    if video is not None:
        into.videos[video] = None
        if re.search(r"[?&#]t=|[?&]start=", text):
            into.notes.append(f"{text}: taken as the whole video; one picture has a name of its own")
        return
    uploader = known_uploader(cursor, text)
    if uploader is None:
        raise UnknownNameError(f"{text}: no picture, video or uploader is called so{_nearest(cursor, text)}")
    into.uploaders[uploader.ids[0]] = uploader
    into.notes.append(f"{text}: taken as the uploader {uploader.name}")


def video_meant(cursor: Cursor, text: str) -> str | None:
    """The id of the video that a name or address means, also of one that no search has found yet; None: none.

    Raises UnknownNameError where several are called so.
    """
    found = list(dict.fromkeys(named.video_id for named in lookup.resolve(cursor, text)))
    if len(found) > 1:
        raise UnknownNameError(f"{text}: {len(found)} videos are called so; name one: {', '.join(found[:5])}")
    return found[0] if found else _still_to_be_found(text)


def uploader_meant(cursor: Cursor, text: str) -> Uploader:
    """The uploader that a name, handle or channel id means. Raises UnknownNameError, also where two are called so."""
    uploader = known_uploader(cursor, text)
    if uploader is not None:
        return uploader
    if _UPLOADER_ID.fullmatch(text):  # one that no search has found yet
        return Uploader((text,), text, 0)
    near = difflib.get_close_matches(text, words.uploader_names(cursor), 1)
    hint = f"did you mean {near[0]}?" if near else "a handle (@…) or channel id (UC…) is taken unseen"
    raise UnknownNameError(f"{text}: no uploader is called so; {hint}")


def known_uploader(cursor: Cursor, text: str) -> Uploader | None:
    """The uploader who is called so by some video that is known; None: nobody is."""
    rows = words.uploaders_called(cursor, text)
    if not rows:
        return None
    persons = {_own_ids(row) for row in rows} - {()}
    shared = [ids for ids in persons if text in ids] or list(persons)
    apart = [ids for ids in shared if not any(set(ids) < set(other) for other in shared)]
    if len(apart) > 1:
        named = ", ".join(sorted(ids[0] for ids in apart)[:5])
        raise UnknownNameError(f"{text}: {len(apart)} uploaders are called so; name one by id: {named}")
    ids = apart[0] if apart else ()
    if not all(map(_own_ids, rows)):  # some listing showed the name alone
        ids = tuple(dict.fromkeys((*ids, text)))
    name = rows[0].uploader or rows[0].channel or text
    return Uploader(ids, name if name in ids else f"{name} ({ids[0]})", sum(row.videos for row in rows))


def _own_ids(row: Any) -> tuple[str, ...]:
    """What nobody else is called: channel id, handle. A display name is anybody's."""
    return tuple(dict.fromkeys(one for one in (row.channel_id, row.uploader_id) if one))


def _add_picture(cursor: Cursor, project_id: int, text: str, moments: list[Moment], into: Meaning) -> None:
    there = [moment for moment in moments if moment in words.sampled(cursor, project_id, moments)]
    if len(there) > 1:
        raise UnknownNameError(f"{text}: {len(there)} videos have such a picture; name it with its site")
    if not there:
        raise UnknownNameError(f"{text}: no picture was taken at that time; data-miner show {moments[0][0]}")
    into.pictures[there[0]] = None


def _still_to_be_found(text: str) -> str | None:
    if _VIDEO_ID.fullmatch(text):
        return text
    if not text.startswith(("http://", "https://")):
        return None
    from yt_dlp.extractor import gen_extractor_classes

    extractor = next(one for one in gen_extractor_classes() if one.suitable(text))
    native = extractor.get_temp_id(text)
    is_one = getattr(extractor, "_RETURN_TYPE", None) == "video" and extractor.ie_key() != "Generic"
    return video_id(extractor.ie_key(), native, text) if native and is_one else None


def _nearest(cursor: Cursor, text: str) -> str:
    near = lookup.nearest(cursor, text) or next(
        iter(difflib.get_close_matches(text, words.uploader_names(cursor), 1)), None
    )
    return f"; did you mean {near}?" if near else ""
