"""From counts to hours and bytes: arithmetic over a forecast. Every number knows whether it was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_miner.config.schema import ProjectConfig

# Where nothing was measured yet. One core; pictures of 720p. (FACTS of the systems before this one, and
# measurements on 2 cores: PyAV 4.0 s for 60 pictures of 1080p, YOLO11n 63 ms, a JPEG of 1280 px 185 kB.)
SECONDS_PER_ITEM = {"extract": 0.04, "filter": 0.6, "embed": 0.3, "dedup": 0.0003, "detect": 0.1}
SECONDS_PER_ITEM_GPU = {"filter": 0.034, "embed": 0.005, "detect": 0.02}
FILM_BYTES_PER_S = 127_000.0  # video only, 720p
FRAME_BYTES = 185_000.0
VECTOR_BYTES = 4_608.0  # 1,152 numbers of 4 bytes
FILM_S = 300.0  # of a video whose length nobody told
PASSED, UNIQUE = 0.1, 0.4  # share of extracted pictures that match, and of those the unique ones
KEYFRAMES_PER_S = 0.2  # one in 5 s, GOP 150 at 30 fps


@dataclass(frozen=True, slots=True)
class Number:
    """A number and how it is known: measured, paced (a site's), or guessed."""

    value: float
    known: str = "measured"

    def __add__(self, other: "Number") -> "Number":
        """A sum is as sure as its less sure part."""
        worst = max((self.known, other.known), key=("measured", "paced", "guessed").index)
        return Number(self.value + other.value, worst)


NOTHING = Number(0.0)


@dataclass(frozen=True, slots=True)
class Work:
    """What one stage has to do."""

    stage: str
    unit: str  # videos | pictures
    items: Number
    time_s: Number = NOTHING
    size_bytes: Number = NOTHING


@dataclass(frozen=True, slots=True)
class Unasked:
    """Sources that were not asked yet, and what they may bring."""

    sources: int = 0
    online: Number = NOTHING  # videos
    local: Number = NOTHING  # videos
    local_s: Number = NOTHING  # film in all


@dataclass(frozen=True, slots=True)
class Machine:
    """What estimates divide by."""

    cpus: int
    has_gpu: bool


def estimate(config: ProjectConfig, found: Any, unasked: Unasked, pace_s: float, machine: Machine) -> list[Work]:
    """Say for each stage what it has to do; `found` is a ledger Forecast, `pace_s` an unasked site's slot."""
    film = _film(found)
    downloads = _downloads(found, unasked, film, pace_s)
    extract = _extract(config, found, unasked, film, machine)
    return [downloads, extract, *_after(config, found, extract.items, machine)]


def _film(found: Any) -> Number:
    """Seconds of a video of unknown length."""
    return Number(found.sizes.film_s, "measured") if found.sizes.film_s else Number(FILM_S, "guessed")


def _downloads(found: Any, unasked: Unasked, film: Number, pace_s: float) -> Work:
    """Only what comes over the network; time is the slowest site's pace."""
    rows = [row for row in found.downloads if row.site is not None]
    videos = Number(sum(row.videos for row in rows)) + unasked.online
    if not videos.value:
        return Work("download", "videos", NOTHING)
    slots_s = [row.videos * (row.pace_s or 0.0) for row in rows] + [unasked.online.value * pace_s]
    seconds = Number(sum(row.seconds for row in rows))
    if untold := videos.value - sum(row.timed for row in rows):
        seconds += Number(untold * film.value, "guessed")
    each = found.sizes.film_bytes_per_s
    size = Number(seconds.value * (each or FILM_BYTES_PER_S), seconds.known if each else "guessed")
    return Work("download", "videos", videos, Number(max(slots_s), "paced"), size)


def _extract(config: ProjectConfig, found: Any, unasked: Unasked, film: Number, machine: Machine) -> Work:
    per_video = film.value * fps_of(config)
    if config.extract.max_frames is not None:
        per_video = min(per_video, config.extract.max_frames)
    frames = Number(found.uncut.frames + found.unextracted.frames)
    if unasked.local.value:
        frames += Number(unasked.local_s.value * fps_of(config), unasked.local_s.known)
    if untold := found.uncut.videos - found.uncut.timed + unasked.online.value:
        frames += Number(untold * per_video, "guessed")
    if config.extract.strategy == "keyframe":
        frames = Number(frames.value, "guessed")
    if not frames.value:
        return Work("extract", "pictures", NOTHING)
    each = found.sizes.frame_bytes
    size = Number(frames.value * (each or FRAME_BYTES), frames.known if each else "guessed")
    return _work("extract", frames, found.rates, machine, size)


def _after(config: ProjectConfig, found: Any, new: Number, machine: Machine) -> list[Work]:
    """Filter, dedup and detect: what is here, and their share of the pictures that are still to come."""
    works = []
    if config.filter.model:
        embed = Number(found.frames.to_embed) + new
        vectors = Number(embed.value * VECTOR_BYTES, "guessed") if embed.value else NOTHING
        works.append(_work("filter", embed, found.rates, machine, vectors))
    matching = _share(found.funnel, "passed", "extracted", PASSED if config.filter.model else 1.0)
    share = _share(found.funnel, "passed", "good", PASSED) if config.filter.model else 1.0
    unscored = _of(Number(found.frames.to_score), share)
    matches = _of(new, matching) + unscored
    compare = Number(found.frames.to_compare) + matches
    if config.dedup.model:
        passed = Number(found.frames.to_embed_passed) + matches
        works.append(_work("embed", passed, found.rates, machine))
    works.append(_work("dedup", compare, found.rates, machine))
    if config.detect.detectors:
        works.append(_work("detect", _to_detect(found, compare), found.rates, machine))
    return works


def _to_detect(found: Any, compare: Number) -> Number:
    """Kept frames without boxes yet; what dedup will keep of the rest is known where it was asked, else a share."""
    if found.change is not None:
        return Number(found.frames.to_detect, "measured" if found.change.is_exact else "guessed")
    kept = _of(compare, _share(found.funnel, "unique", "passed", UNIQUE))
    return Number(found.frames.to_detect) + kept


def _share(funnel: Mapping[str, int], part: str, whole: str, guess: float) -> float:
    """The project's own share so far, else a guess."""
    return funnel[part] / funnel[whole] if funnel.get(whole) else guess


def _of(number: Number, share: float) -> Number:
    return Number(number.value * share, "guessed") if number.value else NOTHING


def _work(stage: str, items: Number, rates: Mapping[str, Any], machine: Machine, size: Number = NOTHING) -> Work:
    measured = rates[stage].seconds_per_item if stage in rates else None
    guess = SECONDS_PER_ITEM_GPU.get(stage) if machine.has_gpu else None
    each = measured if measured is not None else guess or SECONDS_PER_ITEM[stage]
    hands = 1 if (guess and machine.has_gpu) or stage == "dedup" else machine.cpus
    time_s = Number(items.value * each / hands, "guessed" if measured is None else items.known)
    return Work(stage, "pictures", items, time_s if items.value else NOTHING, size)


def fps_of(config: ProjectConfig) -> float:
    """Pictures a second of film; a guess for key frames."""
    return config.extract.fps if config.extract.strategy == "interval" else KEYFRAMES_PER_S


def total(works: Sequence[Work]) -> tuple[Number, Number, bool]:
    """Time, bytes, and whether a site's pace decides: downloads wait beside the work of all other stages."""
    paced = next(work.time_s for work in works if work.stage == "download")
    own = sum((work.time_s for work in works if work.stage != "download"), NOTHING)
    size = sum((work.size_bytes for work in works), NOTHING)
    return max(paced, own, key=lambda time: time.value), size, paced.value > own.value
