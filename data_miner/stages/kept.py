"""A project's kept frames in memory, and what dedup says of new ones: known, rejected, duplicate, similar, or kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_miner.errors import NotNowError
from data_miner.ledger import admission
from data_miner.ledger.admission import Frames, Standing, Verdict
from data_miner.ledger.connection import Cursor
from data_miner.similarity.gallery import Gallery, Match
from data_miner.stages import vectors
from data_miner.store.artifacts import Store

Place = tuple[int, int]  # (segment_id, pts_ms)
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something in the gallery: a frame, or (place None) a picture of a known set."""

    word: str | None  # reason for what looks like it; None: duplicate or similar
    place: Place | None = None


class KeptIndex:
    """A project's gallery in memory, true at one dedup version."""

    def __init__(self, found: Standing, key: str, params: Mapping[str, Any], vector_of: "VectorOf") -> None:
        self.version, self.key = found.version, key
        cosine = params["cosine"] if params.get("embedding") else None
        self._gallery: Gallery[_Entry] = Gallery(params["hash_distance"], cosine)
        self._gallery.add([_Entry("known")] * len(found.known), found.known, vector_of.known)
        human = [_Entry(None, place) for place in found.human.places]
        matches = self._gallery.admit(human, found.human.phash, vector_of.these(found.human.places))
        self._human = {
            place: _verdict(place[1], match) for place, match in zip(found.human.places, matches, strict=True)
        }
        for word, rows in (("rejected", found.rejected), (None, found.kept)):
            places = rows.places
            self._gallery.add([_Entry(word, place) for place in places], rows.phash)
            there = [place for place in places if place in vector_of]
            self._gallery.add([_Entry(word, place) for place in there], None, vector_of.these(there))

    def admit(self, new: Frames, vector_of: "VectorOf") -> list[Verdict]:
        """Verdicts on a segment's passed frames, in order of time; a person's own were decided before all."""
        every = new.places
        rows = [i for i, place in enumerate(every) if place not in self._human]
        places = [every[i] for i in rows]
        matches = self._gallery.admit(
            [_Entry(None, place) for place in places], new.phash[rows], vector_of.these(places)
        )
        found = {place: _verdict(place[1], match) for place, match in zip(places, matches, strict=True)}
        return [self._human.get(place) or found[place] for place in every]


def _verdict(pts_ms: int, match: Match[_Entry] | None) -> Verdict:
    if match is None:
        return Verdict(pts_ms)
    place = match.entry.place or (None, None)
    return Verdict(pts_ms, match.entry.word or ("duplicate" if match.by_hash else "similar"), *place)


class VectorOf:
    """Vectors by frame; none at all where dedup is by hash only.

    Lenient: a frame that is not embedded yet is like nothing, instead of NotNowError.
    """

    def __init__(
        self, by_place: Mapping[Place, Vectors] | None, known: Vectors | None = None, is_lenient: bool = False
    ) -> None:
        self._by_place, self.known, self._is_lenient = by_place, known, is_lenient

    @classmethod
    def read(cls, store: Store, lie: "VectorPlaces | None", is_lenient: bool = False) -> "VectorOf":
        """Fetch vectors from where they lie; None: there are none."""
        if lie is None:
            return cls(None)
        known = vectors.read(store, lie.known) if lie.known else None
        return cls(vectors.read_parts(store, lie.parts), known, is_lenient)

    def __contains__(self, place: Place) -> bool:
        return self._by_place is not None and place in self._by_place

    def these(self, places: Sequence[Place]) -> Vectors | None:
        """(n, d) in the order of the places; NotNowError when one is not embedded yet."""
        if not self._by_place or not places:
            if self._by_place is None or not places or self._is_lenient:
                return None
            raise NotNowError("a frame is not embedded yet")
        nothing = np.zeros_like(next(iter(self._by_place.values())))
        if not self._is_lenient and any(place not in self._by_place for place in places):
            raise NotNowError("a frame is not embedded yet")
        return np.stack([self._by_place.get(place, nothing) for place in places])


@dataclass(frozen=True, slots=True)
class VectorPlaces:
    """Where vectors lie: rows (segment_id, pts_ms, path), and the artifact of the known pictures'."""

    parts: Sequence[Any]
    known: str | None


def places_of_vectors(cursor: Cursor, params: Mapping[str, Any], groups: Sequence[Frames]) -> VectorPlaces | None:
    """Where the vectors of these frames and of the known pictures lie; None without a model. NotNowError."""
    model, digest = params.get("embedding"), params.get("known")
    if not model:
        return None
    segments = np.unique(np.concatenate([rows.segment_ids for rows in groups])).tolist()
    known = admission.known_embedding(cursor, digest, model) if digest else None
    if digest and known is None:
        raise NotNowError("the known pictures are not embedded yet")
    return VectorPlaces(admission.embeddings(cursor, segments, model), known)


def decide_all(found: Standing, every: Frames, params: Mapping[str, Any], vector_of: VectorOf) -> list[Verdict]:
    """What dedup would say of all passed frames of a project, given in data order; nothing is written."""
    nothing = Frames(every.segment_ids[:0], every.pts_ms[:0], every.phash[:0])
    return KeptIndex(replace(found, kept=nothing), "", params, vector_of).admit(every, vector_of)
