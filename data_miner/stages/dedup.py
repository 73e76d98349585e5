"""Dedup: admit a segment's passed frames in data order; no two kept frames are within the configured distances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data_miner.config.schema import ProjectConfig
from data_miner.errors import NotNowError
from data_miner.ledger import admission, frames, order
from data_miner.ledger.admission import Frames, Standing, Verdict
from data_miner.ledger.connection import Cursor
from data_miner.ledger.jobs import Job
from data_miner.records import key_of
from data_miner.similarity.gallery import Gallery, Match
from data_miner.stages import vectors
from data_miner.stages.base import Beat, Node, Outcome, Runner, Share, StagePlan
from data_miner.stages.known import digest_of

Place = tuple[int, int]  # (segment_id, pts_ms)
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Dedup:
    """Keep the first of everything that looks alike, and nothing that looks like a known or a rejected picture."""

    name: ClassVar[str] = "dedup"
    version: ClassVar[int] = 1
    share: ClassVar[Share] = Share(cpus=0.25)

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """The key names the rule; a changed rule decides all again, from stored hashes and vectors."""
        params: dict[str, Any] = {"hash_distance": config.dedup.hash_distance}
        if "embed" in upstream:
            params.update(cosine=config.dedup.cosine, embedding=upstream["embed"].key)
        if config.dedup.against:
            params["known"] = digest_of([Path(folder) for folder in config.dedup.against])
        return StagePlan(key=key_of(stage=cls.name, version=cls.version, **params), params=params)

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Dedup":
        """Nothing needs loading."""
        return cls()

    def open(self, node: Node) -> Runner:
        """The index of a project is built by its first job."""
        return _Runner(node)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something in the gallery: a frame, or (place None) a picture of a known set."""

    word: str | None  # reason for what looks like it; None: duplicate or similar
    place: Place | None = None


class _Index:
    """A project's gallery in memory, true at one dedup version."""

    def __init__(self, found: Standing, key: str, params: Mapping[str, Any], vector_of: "_VectorOf") -> None:
        self.version, self.key = found.version, key
        cosine = params["cosine"] if params.get("embedding") else None
        self._gallery: Gallery[_Entry] = Gallery(params["hash_distance"], cosine)
        self._gallery.add([_Entry("known")] * len(found.known), found.known, vector_of.known)
        human = [_Entry(None, place) for place in found.human.places]
        matches = self._gallery.admit(human, found.human.phash, vector_of.all(found.human))
        self._human = {
            place: _verdict(place[1], match) for place, match in zip(found.human.places, matches, strict=True)
        }
        for entries, rows in (
            ([_Entry("rejected", place) for place in found.rejected.places], found.rejected),
            ([_Entry(None, place) for place in found.kept.places], found.kept),
        ):
            self._gallery.add(entries, rows.phash)
            there = [i for i, place in enumerate(rows.places) if place in vector_of]
            self._gallery.add([entries[i] for i in there], None, vector_of.these([rows.places[i] for i in there]))

    def admit(self, new: Frames, vector_of: "_VectorOf") -> list[Verdict]:
        """Verdicts on a segment's passed frames, in order of time; a person's own were decided before all."""
        rows = [i for i, place in enumerate(new.places) if place not in self._human]
        places = [new.places[i] for i in rows]
        matches = self._gallery.admit(
            [_Entry(None, place) for place in places], new.phash[rows], vector_of.these(places)
        )
        found = {place: _verdict(place[1], match) for place, match in zip(places, matches, strict=True)}
        return [self._human.get(place) or found[place] for place in new.places]


def _verdict(pts_ms: int, match: Match[_Entry] | None) -> Verdict:
    if match is None:
        return Verdict(pts_ms)
    place = match.entry.place or (None, None)
    return Verdict(pts_ms, match.entry.word or ("duplicate" if match.by_hash else "similar"), *place)


class _VectorOf:
    """Vectors by frame; none at all where dedup is by hash only."""

    def __init__(self, by_place: Mapping[Place, Vectors] | None, known: Vectors | None = None) -> None:
        self._by_place, self.known = by_place, known

    def __contains__(self, place: Place) -> bool:
        return self._by_place is not None and place in self._by_place

    def all(self, rows: Frames) -> Vectors | None:
        return self.these(rows.places)

    def these(self, places: Sequence[Place]) -> Vectors | None:
        """(n, d) in the order of the places; NotNowError when one is not embedded yet."""
        if self._by_place is None or not places:
            return None
        if any(place not in self._by_place for place in places):
            raise NotNowError("a frame is not embedded yet")
        return np.stack([self._by_place[place] for place in places])


@dataclass(frozen=True, slots=True)
class _Admitted:
    index: _Index
    verdicts: Sequence[Verdict]


class _Runner:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._indexes: dict[int, _Index] = {}

    def load(self, job: Job) -> None:
        """Nothing ahead of time: what is kept changes with every admission."""

    def process(self, job: Job, work: None, beat: Beat) -> Outcome:
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        # Until this admission is committed the index in memory may be ahead of the ledger; save() puts it back.
        index = self._indexes.pop(project_id, None)
        with self._node.ledger.transaction() as cursor:
            if not order.is_next(cursor, project_id, segment_id):
                raise NotNowError("a segment before this one is undecided")
            own = frames.params(cursor, project_id, "dedup")
            found = None
            if index is None or index.key != own.key or not admission.is_version(cursor, project_id, index.version):
                found = admission.standing(cursor, project_id, own.params.get("known"))
            new = admission.passed_frames(cursor, project_id, segment_id)
            groups = [new] if found is None else [new, found.human, found.rejected, found.kept]
            parts, known = self._embeddings(cursor, own.params, groups)
        vector_of = self._vectors(parts, known)
        if found is not None:
            index = _Index(found, own.key, own.params, vector_of)
        assert index is not None
        verdicts = index.admit(new, vector_of)
        return Outcome(rows=_Admitted(index, verdicts), items=len(verdicts))

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        made: _Admitted = outcome.rows
        project_id, segment_id = int(job.project_id or 0), int(job.segment_id or 0)
        made.index.version = admission.admit(cursor, project_id, segment_id, made.index.version, made.verdicts)
        # If this commit fails the ledger's version stays behind, and the next job sees that and rebuilds.
        self._indexes[project_id] = made.index

    def close(self) -> None:
        self._indexes.clear()

    @staticmethod
    def _embeddings(cursor: Cursor, params: Mapping[str, Any], groups: Sequence[Frames]) -> tuple[Any, str | None]:
        """Where the vectors of these frames and of the known pictures lie; (None, None) without a model."""
        model, digest = params.get("embedding"), params.get("known")
        if not model:
            return None, None
        segments = np.unique(np.concatenate([rows.segment_ids for rows in groups])).tolist()
        known = admission.known_embedding(cursor, digest, model) if digest else None
        if digest and known is None:
            raise NotNowError("the known pictures are not embedded yet")
        return admission.embeddings(cursor, segments, model), known

    def _vectors(self, parts: Any, known: str | None) -> _VectorOf:
        if parts is None:
            return _VectorOf(None)
        store = self._node.store
        return _VectorOf(vectors.read_parts(store, parts), vectors.read(store, known) if known else None)
