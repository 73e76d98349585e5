"""A project of any size, written straight into the tables: all mined, but for a last video in the middle of its way."""

from data_miner.ledger.connection import Ledger
from tests.support.ledger import World, plan, register

_FILL = """
INSERT INTO video (id, url, site, metadata_at)
SELECT 'tube:v' || lpad(n::text, 7, '0'), 'http://x', NULL, now() FROM generate_series(1, {videos}) n;
INSERT INTO "fetch" (video_id, key, max_height, path, fetched_at, first_pts_ms, duration_ms)
SELECT id, '{download}', 720, 'videos/' || id, now(), 0, 30000 FROM video;
INSERT INTO project_video (project_id, video_id, source_id, ordinal, rank, fetch_id, judged, is_cut)
SELECT {project}, f.video_id, {source}, 0, f.id, f.id,
    concat_ws(' ', '{policy}', extract(epoch FROM v.metadata_at)), true
FROM "fetch" f JOIN video v ON v.id = f.video_id;
INSERT INTO segment (fetch_id, key, start_ms, end_ms, shard)
SELECT id, '{extract}', n * 10000, n * 10000 + 10000, 'shards/' || id || '-' || n FROM "fetch", generate_series(0, 2) n;
INSERT INTO project_segment (project_id, segment_id, video_id, ordinal, rank, start_ms, filtered, is_decided)
SELECT {project}, s.id, f.video_id, 0, f.id, s.start_ms, '{filter}', true
FROM segment s JOIN "fetch" f ON f.id = s.fetch_id;
INSERT INTO frame
    (segment_id, pts_ms, shard_offset, size_bytes, width, height, sharpness, brightness, contrast, phash)
SELECT id, start_ms + n * 2000, n, 100, 1280, 720, 100, 100, 50, hashint8(id * 10 + n)
FROM segment, generate_series(0, {frames} - 1) n;
INSERT INTO frame_score (project_id, segment_id, pts_ms, key, positive, positive_prompt)
SELECT {project}, segment_id, pts_ms, '{filter}', 0.9, 'x' FROM frame;
INSERT INTO project_frame (project_id, segment_id, pts_ms, reason, is_kept)
SELECT {project}, segment_id, pts_ms, CASE WHEN shard_offset > 1 THEN 'no_match' END,
    CASE WHEN shard_offset <= 1 THEN shard_offset = 0 END FROM frame;
INSERT INTO detection_run (segment_id, pts_ms, detector)
SELECT segment_id, pts_ms, '{detect}' FROM project_frame WHERE is_kept;
INSERT INTO job (stage, fetch_id, video_id, key, ordinal, rank, state)
SELECT 'download', id, video_id, key, 0, id, 'done' FROM "fetch";
INSERT INTO job (stage, segment_id, video_id, key, ordinal, rank, start_ms, state)
SELECT 'extract', segment_id, video_id, '{extract}', 0, rank, start_ms, 'done' FROM project_segment;
INSERT INTO job (stage, segment_id, project_id, video_id, key, runtime_key, ordinal, rank, start_ms, state)
SELECT s.stage, segment_id, project_id, video_id, s.key, s.runtime_key, 0, rank, start_ms, 'done' FROM project_segment,
(VALUES ('filter', '{filter}', '{filter_runtime}'), ('dedup', '{dedup}', ''),
    ('detect', '{detect}', '{detect_runtime}'))
AS s (stage, key, runtime_key);
INSERT INTO human_label (project_id, video_id, pts_ms)
SELECT project_id, video_id, start_ms FROM project_segment WHERE rank % 5 = 0;
INSERT INTO rejection (project_id, video_id, pts_ms)
SELECT project_id, video_id, 1 FROM project_video WHERE rank % 3 = 0;
INSERT INTO forgotten (video_id, receipt) SELECT 'gone:' || n, 'r.json' FROM generate_series(1, 2000) n;
UPDATE source SET expanded_at = now();
UPDATE job SET state = 'done' WHERE stage = 'expand';
"""


def fill(ledger: Ledger, videos: int, frames: int = 5) -> int:
    """Make a finished project of `videos` videos, three segments each, `frames` a segment; returns its id."""
    world, own = World({"one": []}), plan()
    project_id = register(ledger, world)
    with ledger.transaction(statement_timeout_s=600) as cursor:
        source = cursor.execute("SELECT id FROM source").fetchone()
        assert source is not None
        text = _FILL.format(
            project=project_id,
            source=source.id,
            videos=videos,
            frames=frames,
            policy=own["download"]["params"]["policy_key"],
            filter_runtime=own["filter"]["runtime_key"],
            detect_runtime=own["detect"]["runtime_key"],
            **{stage: own[stage]["key"] for stage in ("download", "extract", "filter", "dedup", "detect")},
        )
        for statement in text.split(";\n"):
            if statement.strip():
                cursor.execute(statement)
    with ledger.connect(autocommit=True, statement_timeout_s=600) as connection:
        connection.execute("VACUUM ANALYZE")
    return project_id
