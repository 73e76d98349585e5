"""The rules of config.verdict and those of the ledger's SQL are one rule: random numbers, a real server."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from data_miner.config.schema import Detect, Filter, Thresholds
from data_miner.config.verdict import Numbers, judge, stands
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.queries import sql

LEAN = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def meeting(*edges: float, top: float) -> st.SearchStrategy[float]:
    """Numbers that often meet a threshold: the edges, their neighbours in single precision, and any other."""
    near = [float(np.nextafter(np.float32(edge), np.float32(to))) for edge in edges for to in (0, top)]
    return st.one_of(st.sampled_from([*map(float, edges), *near]), st.floats(0, top, width=32))


SCORE = meeting(0.1, 0.2, 0.3, 0.4, 0.5, top=1)
LIMIT = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 1.0])
RULES = st.builds(
    Filter,
    min_side=st.sampled_from([0, 100, 200]),
    min_sharpness=st.sampled_from([0.0, 33.3, 40.0]),
    min_contrast=st.sampled_from([0.0, 5.0, 12.7]),
    brightness=st.sampled_from([(0.0, 255.0), (20.0, 235.0), (33.3, 66.6)]),
    model=st.sampled_from([None, "a_siglip"]),
    positive=st.just(("a thing",)),
    thresholds=st.builds(Thresholds, positive=LIMIT, negative=LIMIT, margin=LIMIT, junk=LIMIT, junk_margin=LIMIT),
)
PICTURES = st.builds(
    Numbers,
    width=st.sampled_from([99, 100, 320]),
    height=st.sampled_from([100, 192, 200]),
    brightness=meeting(20, 33.3, 66.6, 235, top=255),
    contrast=meeting(5, 12.7, top=128),
    sharpness=meeting(33.3, 40, top=100),
    positive=st.one_of(SCORE, st.just(0.9)),
    negative=st.none() | SCORE,
    junk=st.none() | SCORE,
)


def test_the_filters_rule_is_the_ledgers(patterns: Ledger) -> None:
    with patterns.transaction() as cursor:
        project = cursor.execute("SELECT id, plan #>> '{filter,key}' AS key FROM project").fetchone()
        places = [tuple(row) for row in cursor.execute("SELECT segment_id, pts_ms FROM frame ORDER BY 1, 2").fetchall()]

        @LEAN
        @given(RULES, st.lists(PICTURES, min_size=len(places), max_size=len(places)))
        def hold(rule: Filter, pictures: list[Numbers]) -> None:
            _put(cursor, project, places, pictures)
            _set_params(cursor, "filter", {**rule.model_dump(mode="json"), "is_scored": rule.model is not None})
            cursor.execute(sql("verdicts", "judge_frames"), {"project_id": project.id, "segment_id": None})
            rows = cursor.execute("SELECT segment_id, pts_ms, reason FROM project_frame ORDER BY 1, 2").fetchall()
            for row, seen in zip(rows, pictures, strict=True):
                failure = judge(rule, seen)
                assert row.reason == (failure.reason if failure else None), (rule, seen, failure)

        hold()


def test_a_boxs_rule_is_the_ledgers(patterns: Ledger) -> None:
    side = meeting(1, 8, 16, 80, 160, top=400)
    boxes = st.tuples(st.floats(0, 1, width=32) | st.sampled_from([0.25, 0.3]), side, side, side, side)
    rules = st.builds(
        Detect,
        conf=st.sampled_from([0.05, 0.25, 0.3]),
        min_area=st.sampled_from([0.0, 0.0005, 0.01]),
        max_area=st.sampled_from([0.5, 0.95]),
        min_aspect=st.sampled_from([0.0, 0.1, 0.5]),
        max_aspect=st.sampled_from([2.0, 10.0]),
    )
    with patterns.transaction() as cursor:
        place = cursor.execute(
            """SELECT r.segment_id, r.pts_ms, r.detector, f.width, f.height FROM detection_run r
               JOIN frame f USING (segment_id, pts_ms) JOIN project_frame pf USING (segment_id, pts_ms)
               WHERE pf.is_kept"""
        ).fetchone()
        cursor.execute("DELETE FROM detection")

        @LEAN
        @given(rules, st.lists(boxes, min_size=1, max_size=20), st.integers(1, 2))
        def hold(rule: Detect, found: list[tuple[float, ...]], agreement: int) -> None:
            cursor.execute("DELETE FROM detection")
            for number, (score, x1, y1, width, height) in enumerate(found):
                xyxy = (x1, y1, x1 + width, y1 + height)
                values = [place.segment_id, place.pts_ms, place.detector, number, "thing", score, *xyxy, agreement]
                cursor.execute(
                    """INSERT INTO detection (segment_id, pts_ms, detector, ordinal, prompt, score, x1, y1, x2, y2,
                         agreement) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                    values,
                )
            _set_params(cursor, "detect", rule.model_dump(mode="json") | {"labels": {"thing": "thing"}})
            standing = {row.ordinal for row in cursor.execute("SELECT ordinal FROM project_box").fetchall()}
            expected = {
                number
                for number, (score, x1, y1, width, height) in enumerate(found)
                if stands(
                    rule,
                    score,
                    (x1, y1, x1 + width, y1 + height),
                    (place.width, place.height),
                    agreement=agreement,
                )
            }
            assert standing == expected, (rule, found)

        hold()


def _set_params(cursor: Cursor, stage: str, params: dict[str, Any]) -> None:
    cursor.execute("UPDATE project SET plan = jsonb_set(plan, ARRAY[%s, 'params'], %s)", [stage, Jsonb(params)])


def _put(cursor: Cursor, project: Any, places: list[tuple[int, int]], pictures: list[Numbers]) -> None:
    """Give the project's frames these numbers and scores."""
    names = ("width", "height", "brightness", "contrast", "sharpness", "positive", "negative", "junk")
    columns = [[getattr(seen, name) for seen in pictures] for name in names]
    where = [[place[i] for place in places] for i in (0, 1)]
    cursor.execute(
        """UPDATE frame f SET width = n.width, height = n.height, brightness = n.brightness, contrast = n.contrast,
             sharpness = n.sharpness
           FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::real[], %s::real[], %s::real[])
             AS n (segment_id, pts_ms, width, height, brightness, contrast, sharpness)
           WHERE f.segment_id = n.segment_id AND f.pts_ms = n.pts_ms""",
        [*where, *columns[:5]],
    )
    cursor.execute("DELETE FROM frame_score")
    cursor.execute(
        """INSERT INTO frame_score (project_id, segment_id, pts_ms, key, positive, positive_prompt, negative, junk)
           SELECT %s, segment_id, pts_ms, %s, positive, 'a thing', negative, junk
           FROM unnest(%s::bigint[], %s::bigint[], %s::real[], %s::real[], %s::real[])
             AS n (segment_id, pts_ms, positive, negative, junk)""",
        [project.id, project.key, *where, *columns[5:]],
    )
