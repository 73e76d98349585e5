"""Embed jobs that die, wait or come late: nobody waits for ever, and what is kept does not depend on when."""

from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from data_miner.ledger import frames, known, order, successors
from data_miner.ledger.connection import Ledger
from data_miner.ledger.known import KnownPicture
from data_miner.store.artifacts import Store
from tests.integration.ledger.test_query_plans import NotingCursor, explained, pages
from tests.support.crowd import fill
from tests.support.ledger import rows
from tests.support.likeness import Gallery, LikenessMiner, dies, label, mined_by, reject, revive, shown

# b and c are alike, and so are d and e; nothing else is.
WORLD = Gallery({"one": list("abcde")}, angles={"a": 0, "b": 40, "c": 45, "d": 90, "e": 95})
EARLY = ["expand", "download", "extract", "filter"]
_DEAD = "SELECT FROM job WHERE state = 'dead'"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_a_dead_embed_job_holds_its_own_picture_alone(database: Ledger, store: Store) -> None:
    project_id = mined_by(database, WORLD)
    LikenessMiner(database, WORLD, store, {"embed": dies("b")}).all_through()
    assert shown(database, project_id) == "acd"
    assert revive(database, project_id, "dedup")  # people know it as dedup's
    LikenessMiner(database, WORLD, store).all_through()
    assert shown(database, project_id) == "acd" and not rows(database, _DEAD)


@pytest.mark.parametrize("model", ["m2", None])
def test_another_model_or_none_asks_nobody_to_revive_the_dead(
    database: Ledger, store: Store, model: str | None
) -> None:
    project_id = mined_by(database, WORLD)
    LikenessMiner(database, WORLD, store, {"embed": dies("a", "b")}).all_through()
    mined_by(database, WORLD, model=model)
    LikenessMiner(database, WORLD, store).all_through()
    assert not rows(database, _DEAD) and not rows(database, "SELECT FROM project_segment WHERE is_held")
    assert shown(database, project_id) == ("cda" if model else "cdeab")


def test_embed_jobs_of_a_project_that_embeds_no_more_are_put_aside(database: Ledger, store: Store) -> None:
    mined_by(database, WORLD)
    LikenessMiner(database, WORLD, store).all_through(EARLY)
    assert rows(database, "SELECT FROM job WHERE stage = 'embed' AND state = 'waiting'")
    mined_by(database, WORLD, model=None)
    assert not rows(database, "SELECT FROM job WHERE stage = 'embed' AND state <> 'superseded'")


def test_a_labelled_picture_without_a_vector_stops_nobody(database: Ledger, store: Store) -> None:
    project_id = mined_by(database, WORLD)
    LikenessMiner(database, WORLD, store).all_through()
    label(database, project_id, "c")
    mined_by(database, WORLD, model="m2")
    LikenessMiner(database, WORLD, store, {"embed": dies("c")}).all_through()
    assert shown(database, project_id) == "abd"
    revive(database, project_id)
    LikenessMiner(database, WORLD, store).all_through()
    assert shown(database, project_id) == "adc"  # a person's own goes before what looks like it


@pytest.mark.parametrize("is_late", [True, False])
def test_likes_of_a_rejected_picture_stay_away_whenever_it_is_filtered(
    database: Ledger, store: Store, is_late: bool
) -> None:
    project_id = mined_by(database, WORLD)
    miner = LikenessMiner(database, WORLD, store)
    miner.all_through()
    assert shown(database, project_id) == "abd"
    reject(database, project_id, "e")
    miner.all_through()
    assert shown(database, project_id) == "ab"
    mined_by(database, WORLD, model="m2", prompts="another filter key")
    if is_late:  # the rejected one's own filter job, the last of the order, waits until all else is done
        while (job := miner.claim(["dedup", "embed", "filter"])) is not None:
            if job.stage == "filter" and job.video_id == "local:e":
                last = job
                continue
            miner.finish(job)
        assert miner.finish(last) == "done"
    miner.all_through()
    assert shown(database, project_id) == "ab"


def test_likes_of_a_rejected_picture_go_when_its_vector_comes_late(database: Ledger, store: Store) -> None:
    project_id = mined_by(database, WORLD)
    LikenessMiner(database, WORLD, store).all_through()
    reject(database, project_id, "e")
    mined_by(database, WORLD, model="m2")
    LikenessMiner(database, WORLD, store, {"embed": dies("e")}).all_through()
    assert shown(database, project_id) == "abd"
    revive(database, project_id)
    LikenessMiner(database, WORLD, store).all_through()
    assert shown(database, project_id) == "ab"


def _keep(database: Ledger, *digests: str) -> None:
    with database.transaction() as cursor:
        for digest in digests:
            known.keep(cursor, digest, f"known/{digest}.tar", [KnownPicture("x.jpg", 0, 0, 1)])


def test_known_pictures_that_cannot_be_embedded_hold_all_until_they_change_or_go(
    database: Ledger, store: Store
) -> None:
    _keep(database, "k1", "k2")
    project_id = mined_by(database, WORLD, against="k1")
    LikenessMiner(database, WORLD, store, {"embed": dies("None")}).all_through()
    assert shown(database, project_id) == "" and len(rows(database, _DEAD)) == 1
    mined_by(database, WORLD, against="k2")
    assert not rows(database, _DEAD)
    mined_by(database, WORLD)
    assert not rows(database, "SELECT FROM job WHERE stage = 'embed' AND segment_id IS NULL AND state = 'waiting'")
    LikenessMiner(database, WORLD, store).all_through()
    assert shown(database, project_id) == "abd"


def test_vectors_of_other_pixels_do_not_outlive_them(database: Ledger, store: Store) -> None:
    mined_by(database, WORLD)
    LikenessMiner(database, WORLD, store).all_through()
    [row] = rows(database, "SELECT segment_id FROM project_segment WHERE video_id = 'local:a'")
    others = [WORLD.frame("local:a", pts_ms) for pts_ms in (0, 2000)]
    made: dict[str, Any] = {"shard": "shards/other.tar", "sha256": "x", "size_bytes": 1}
    with database.transaction() as cursor:
        frames.extracted(cursor, row.segment_id, others, **made, dropped_max_frames=0, is_truncated=False)
    assert not rows(database, "SELECT FROM embedding WHERE segment_id = %s", row.segment_id)


def test_what_follows_a_finish_does_not_read_all_that_is_undecided(database: Ledger) -> None:
    project_id = fill(database, 600, frames=2)  # labels in 120 videos, rejections in 200
    embed = {"key": "e", "runtime_key": "r", "params": {}}
    with database.transaction() as cursor:
        cursor.execute("""INSERT INTO embedding (segment_id, model, pts_ms, path)
            SELECT segment_id, 'e', array_agg(pts_ms), 'embeddings/x.npy' FROM frame GROUP BY 1""")
        cursor.execute(
            """UPDATE project SET plan = jsonb_set(jsonb_set(plan, '{dedup,params,embedding}', '"e"'),
            '{embed}', %s::jsonb) || '{"stages": ["embed", "dedup"]}'""",
            [Jsonb(embed)],
        )
        order.take_turns(cursor, [project_id])
        order.redecide_all(cursor, project_id)  # and the statistics know nothing of it yet
    with database.connect() as connection:
        asking = NotingCursor(connection)
        successors.derive_after(asking, project_id, "tube:v0000001", "embed")
        connection.rollback()
        plans = [explained(connection.cursor(), query, parameters) for query, parameters in asking.asked]
        connection.rollback()
    assert sum(map(pages, plans)) < 3000  # 32 jobs are made, at some 45 pages each
