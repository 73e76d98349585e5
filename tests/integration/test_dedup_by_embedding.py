"""Cosine as the second pass, pictures that are known, and a person's word: one rule, held against comparing in turn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_miner.ledger import words
from data_miner.ledger.connection import Ledger
from data_miner.ledger.words import Meant
from data_miner.stages import vectors
from data_miner.store.artifacts import Store
from tests.support import mined, tiny_models

_PASSED = """
    SELECT ps.video_id, pf.segment_id, pf.pts_ms, fr.phash, pf.is_kept, pf.dedup_reason, pf.reason, fr.shard_offset,
        fr.size_bytes, s.shard
    FROM project_frame pf JOIN project_segment ps USING (project_id, segment_id)
    JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms JOIN segment s ON s.id = pf.segment_id
    ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms, pf.pts_ms"""


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write("dinov2", tmp_path_factory.mktemp("dino"))


@pytest.fixture
def place() -> mined.Place:
    return mined.Place(Path.cwd())  # where the fixture `patterns` leads


def _rows(ledger: Ledger) -> list[Any]:
    with ledger.transaction() as cursor:
        return cursor.execute(_PASSED).fetchall()


def _vectors(ledger: Ledger, place: mined.Place) -> dict[tuple[int, int], Any]:
    with ledger.transaction() as cursor:
        parts = cursor.execute("SELECT segment_id, pts_ms, path FROM embedding ORDER BY id").fetchall()
    return vectors.read_parts(Store(place.settings.store), parts)


def _in_turn(rows: list[Any], vector_of: dict[tuple[int, int], Any], radius: int, cosine: float) -> list[str | None]:
    kept: list[Any] = []
    reasons: list[str | None] = []
    for row in rows:
        own = vector_of[row.segment_id, row.pts_ms].astype(np.float64)
        if any((row.phash ^ k.phash).bit_count() <= radius for k in kept):
            reasons.append("duplicate")
        elif any(own @ vector_of[k.segment_id, k.pts_ms] >= cosine for k in kept):
            reasons.append("similar")
        else:
            reasons.append(None)
            kept.append(row)
    return reasons


def test_cosine_drops_what_the_hash_lets_through(patterns: Ledger, place: mined.Place, dino: Path) -> None:
    before = sum(row.is_kept for row in _rows(patterns))
    mined.mine(patterns, place, f"dedup.model={dino}", "dedup.hash_distance=2", "dedup.cosine=0.9")
    rows, vector_of = _rows(patterns), _vectors(patterns, place)
    cosines = np.stack([vector_of[row.segment_id, row.pts_ms] for row in rows])
    middle = float(np.median(np.unique(np.round(cosines @ cosines.T, 6))))  # some above it, some below
    mined.mine(patterns, place, f"dedup.model={dino}", "dedup.hash_distance=2", f"dedup.cosine={middle}")
    rows = _rows(patterns)
    reasons = [row.dedup_reason for row in rows]
    assert reasons == _in_turn(rows, vector_of, 2, middle)
    assert {"duplicate", "similar", None} == set(reasons)
    assert [row.is_kept for row in rows] == [reason is None for reason in reasons]
    assert 0 < sum(row.is_kept for row in rows) < before


def test_a_changed_threshold_embeds_nothing_again(patterns: Ledger, place: mined.Place, dino: Path) -> None:
    mined.mine(patterns, place, f"dedup.model={dino}", "dedup.cosine=0.99")
    made = set(_vectors(patterns, place))
    with patterns.transaction() as cursor:
        parts = cursor.execute("SELECT count(*) FROM embedding").fetchone()
    mined.mine(patterns, place, f"dedup.model={dino}", "dedup.cosine=0.5")
    with patterns.transaction() as cursor:
        assert cursor.execute("SELECT count(*) FROM embedding").fetchone() == parts
    assert made == {(row.segment_id, row.pts_ms) for row in _rows(patterns)}


def test_known_pictures_are_never_mined(patterns: Ledger, place: mined.Place, dino: Path, tmp_path: Path) -> None:
    first, *_, last = (row for row in _rows(patterns) if row.is_kept)
    folder = tmp_path / "test_set"
    folder.mkdir()
    for name, row in (("a.jpg", first), ("b.jpeg", last), ("again.jpg", last)):
        picture = Store(place.settings.store).read(row.shard, row.shard_offset, row.size_bytes)
        (folder / name).write_bytes(picture)
    by_hash = [f"dedup.against=[{folder}]"]
    for overrides in (by_hash, [*by_hash, f"dedup.model={dino}", "dedup.hash_distance=null", "dedup.cosine=0.999"]):
        mined.mine(patterns, place, *overrides)
        now = {(row.segment_id, row.pts_ms): row for row in _rows(patterns)}
        for row in (first, last):
            assert now[row.segment_id, row.pts_ms].dedup_reason == "known"
            assert not now[row.segment_id, row.pts_ms].is_kept
    mined.mine(patterns, place)
    assert all(now.dedup_reason != "known" for now in _rows(patterns))


def test_what_a_person_rejected_and_all_that_looks_like_it_stay_away(patterns: Ledger, place: mined.Place) -> None:
    project_id = mined.mine(patterns, place)
    victim = next(row for row in _rows(patterns) if row.is_kept)
    _say(patterns, project_id, words.reject, Meant(pictures=[(victim.video_id, victim.pts_ms)]))
    mined.mine(patterns, place)
    _check_rejected(patterns, victim)
    # Another rate of sampling cuts the film anew: the picture itself may be gone, its likes come again.
    mined.mine(patterns, place, "extract.fps=2", "dedup.hash_distance=4")
    _check_rejected(patterns, victim, radius=4)
    _say(patterns, project_id, words.take_back, Meant(pictures=[(victim.video_id, victim.pts_ms)]))
    mined.mine(patterns, place)
    assert any(row.is_kept and row.phash == victim.phash for row in _rows(patterns))


def _check_rejected(ledger: Ledger, victim: Any, radius: int = 6) -> None:
    rows = _rows(ledger)
    assert not [row for row in rows if row.is_kept and (row.phash ^ victim.phash).bit_count() <= radius]
    assert [row.reason for row in rows if (row.video_id, row.pts_ms) == (victim.video_id, victim.pts_ms)] == [
        "rejected"
    ]
    assert sum(bool(row.is_kept) for row in rows) > 0


def test_labels_of_a_person_keep_their_picture_through_every_threshold(patterns: Ledger, place: mined.Place) -> None:
    project_id = mined.mine(patterns, place)
    rows = _rows(patterns)
    twin = next(row for row in rows if row.dedup_reason == "duplicate")  # not even kept today
    labels = {(twin.video_id, twin.pts_ms): [("thing", 0.1, 0.1, 0.5, 0.5)]}
    with patterns.transaction() as cursor:
        words.take_turn(cursor, project_id)
        words.put_labels(cursor, project_id, labels)
        words.apply(cursor, project_id)
    for overrides in ((), ("filter.min_sharpness=100000",), ("filter.brightness=[254, 255]",)):
        mined.mine(patterns, place, *overrides)
        now = {(row.video_id, row.pts_ms): row for row in _rows(patterns)}
        assert now[twin.video_id, twin.pts_ms].is_kept
        kept = [row for row in now.values() if row.is_kept and row.phash == twin.phash]
        assert len(kept) == 1  # what it was a duplicate of gave way
    with patterns.transaction() as cursor:
        boxes = cursor.execute("SELECT label, is_human, x1, y2 FROM project_box WHERE is_human").fetchall()
    assert [(b.label, b.is_human, b.x1, b.y2) for b in boxes] == [("thing", True, 32.0, 96.0)]


def test_a_rejected_video_and_uploader_are_dropped_and_come_back_when_that_is_undone(
    patterns: Ledger, place: mined.Place
) -> None:
    project_id = mined.mine(patterns, place)
    before = _rows(patterns)
    victim = before[0].video_id
    _say(patterns, project_id, words.reject, Meant(videos=[victim]))
    mined.mine(patterns, place)
    assert victim not in {row.video_id for row in _rows(patterns)}
    with patterns.transaction() as cursor:
        reasons = cursor.execute("SELECT reason FROM project_video WHERE video_id = %s", [victim]).fetchall()
    assert [row.reason for row in reasons] == ["rejected"]
    _say(patterns, project_id, words.take_back, Meant(videos=[victim]))
    mined.mine(patterns, place)
    told = [(row.video_id, row.pts_ms, row.is_kept) for row in _rows(patterns)]
    assert told == [(row.video_id, row.pts_ms, row.is_kept) for row in before]


def _say(ledger: Ledger, project_id: int, word: Any, meant: Meant) -> None:
    with ledger.transaction() as cursor:
        words.take_turn(cursor, project_id)
        assert word(cursor, project_id, meant) == 1
        words.apply(cursor, project_id)
