"""Image-text scores by arithmetic for the project of `mined`, as a filter model would have left them."""

import json
from typing import Any

from data_miner.ledger import projects, verdicts
from data_miner.ledger.connection import Cursor, Ledger

KEY = "scores by arithmetic"
THRESHOLDS = {"positive": 0.3, "negative": 0.3, "margin": 0.1, "junk": 0.3, "junk_margin": 0.1}
_PROMPTS = {"positive": ["a number"], "negative": ["a letter"], "junk": ["a smear"]}


def score_frames(ledger: Ledger) -> None:
    """Give every frame of `patterns` scores between 0 and 1, spread evenly, and judge by THRESHOLDS."""
    with ledger.transaction() as cursor:
        project = projects.find(cursor, "patterns")
        assert project is not None
        cursor.execute(
            """INSERT INTO frame_score SELECT %(id)s, segment_id, pts_ms, %(key)s, (n * 7 %% 21) / 20.0, 'a number',
                   (n * 5 %% 21) / 40.0, 'a letter', (n * 4 %% 21) / 50.0, 'a smear'
               FROM (SELECT f.segment_id, f.pts_ms, row_number() OVER (ORDER BY ps.video_id, f.pts_ms) - 1 AS n
                     FROM frame f JOIN project_segment ps USING (segment_id)
                     WHERE ps.project_id = %(id)s) AS numbered""",
            {"id": project.id, "key": KEY},
        )
        cursor.execute(
            """UPDATE project SET plan = jsonb_set(jsonb_set(plan, '{filter,params,is_scored}', 'true'), '{filter,key}',
                   to_jsonb(%(key)s::text)), config = jsonb_set(config, '{filter}', config -> 'filter' || %(filter)s)
               WHERE id = %(id)s""",
            {"id": project.id, "key": KEY, "filter": json.dumps({"model": "by/arithmetic", **_PROMPTS})},
        )
        cursor.execute("UPDATE project_segment SET filtered = %s WHERE project_id = %s", (KEY, project.id))
        judge(cursor, project, {})


def judge(cursor: Cursor, project: Any, changed: dict[str, Any]) -> None:
    """Set keys of the filter section, in plan and configuration alike, and judge all frames by them."""
    thresholds = THRESHOLDS | {key: value for key, value in changed.items() if key in THRESHOLDS}
    own = {key: value for key, value in changed.items() if key not in THRESHOLDS} | {"thresholds": thresholds}
    cursor.execute(
        """UPDATE project SET plan = jsonb_set(plan, '{filter,params}', plan #> '{filter,params}' || %(own)s),
               config = jsonb_set(config, '{filter}', config -> 'filter' || %(own)s) WHERE id = %(id)s""",
        {"id": project.id, "own": json.dumps(own)},
    )
    verdicts.judge_frames(cursor, project.id)
