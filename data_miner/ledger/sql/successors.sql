-- Which jobs a project lacks. Every statement is idempotent and runs in finish, at registration and in the
-- supervisor's tick; %(video_id)s narrows it to one video, null means all of the project.
-- A row that is there is only woken (done or superseded → waiting) or re-keyed, never doubled.

-- name: plan
SELECT id, name, plan, video_limit, is_paused FROM project WHERE id = %(project_id)s FOR SHARE

-- name: take_turn
-- One deriver a project at a time: two that insert each other's successors would deadlock.
SELECT FROM admission WHERE project_id = %(project_id)s FOR UPDATE

-- name: projects_of_video
SELECT project_id FROM project_video WHERE video_id = %(video_id)s ORDER BY project_id

-- name: expand
INSERT INTO job (stage, source_id, project_id, key, site, ordinal, state)
SELECT 'expand', s.id, s.project_id, 'expand', s.site, s.ordinal,
    CASE WHEN site.state = 'shut' THEN 'blocked' ELSE 'waiting' END
FROM source s LEFT JOIN site ON site.name = s.site
WHERE s.project_id = %(project_id)s AND s.expanded_at IS NULL
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = excluded.state, failures = 0, changed_at = now()
    WHERE job.state IN ('done', 'superseded')
RETURNING id, state

-- name: unjudged
SELECT v.*, pv.is_cut FROM project_video pv JOIN video v ON v.id = pv.video_id
WHERE pv.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR pv.video_id = %(video_id)s)
  AND pv.judged IS DISTINCT FROM %(policy)s AND v.skipped IS NULL

-- name: judge
UPDATE project_video SET judged = %(policy)s, reason = %(reason)s
WHERE project_id = %(project_id)s AND video_id = %(video_id)s

-- name: choose_fetch
-- What is there serves whoever asks for no more; else the project's own download key.
WITH first_source AS (
    SELECT moved, ordinal FROM source
    WHERE project_id = %(project_id)s AND expanded_at IS NULL AND NOT is_held ORDER BY 1, 2 LIMIT 1
), chosen AS (
    SELECT pv.video_id, pv.fetch_id FROM project_video pv
    WHERE pv.project_id = %(project_id)s AND pv.reason IS NULL
      -- Under a limit the first N are known only up to the first source that has not answered yet.
      AND (%(video_limit)s::int IS NULL AND pv.fetch_id IS NULL OR %(video_limit)s::int IS NOT NULL AND NOT EXISTS (
          SELECT FROM first_source f WHERE (pv.moved, pv.ordinal) >= (f.moved, f.ordinal)))
    ORDER BY pv.moved, pv.ordinal, pv.rank LIMIT %(video_limit)s
), open_choice AS (
    SELECT video_id FROM chosen WHERE fetch_id IS NULL AND (%(video_id)s::text IS NULL OR video_id = %(video_id)s)
), made AS (
    INSERT INTO "fetch" (video_id, key, max_height)
    SELECT video_id, CASE WHEN video_id LIKE 'local:%%' THEN 'local' ELSE %(key)s END,
        CASE WHEN video_id LIKE 'local:%%' THEN NULL ELSE %(max_height)s::int END
    FROM open_choice
    WHERE NOT EXISTS (SELECT FROM "fetch" f WHERE f.video_id = open_choice.video_id AND f.fetched_at IS NOT NULL
                      AND (f.max_height IS NULL OR f.max_height >= %(max_height)s))
    ON CONFLICT (video_id, key) DO NOTHING RETURNING id
)
SELECT video_id, (SELECT count(*) FROM made) AS made FROM open_choice

-- name: assign_fetch
UPDATE project_video pv SET fetch_id = (
    SELECT f.id FROM "fetch" f WHERE f.video_id = pv.video_id
      AND (f.key IN (%(key)s, 'local') OR f.fetched_at IS NOT NULL AND f.max_height >= %(max_height)s)
    ORDER BY f.fetched_at IS NOT NULL DESC, f.key = %(key)s DESC, f.max_height, f.id LIMIT 1)
WHERE pv.project_id = %(project_id)s AND pv.video_id = ANY(%(video_ids)s) AND pv.fetch_id IS NULL

-- name: download
INSERT INTO job (stage, fetch_id, video_id, key, site, moved, ordinal, rank, state)
SELECT 'download', f.id, f.video_id, f.key, v.site, pv.moved, pv.ordinal, pv.rank,
    CASE WHEN site.state = 'shut' THEN 'blocked' ELSE 'waiting' END
FROM project_video pv JOIN "fetch" f ON f.id = pv.fetch_id JOIN video v ON v.id = f.video_id
LEFT JOIN site ON site.name = v.site
WHERE pv.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR pv.video_id = %(video_id)s)
  AND pv.reason IS NULL AND f.path IS NULL AND (NOT pv.is_cut OR EXISTS (
      SELECT FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
      WHERE ps.project_id = pv.project_id AND ps.video_id = pv.video_id AND s.shard IS NULL AND NOT ps.is_held))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = CASE WHEN job.state IN ('done', 'superseded') THEN excluded.state ELSE job.state END,
        failures = CASE WHEN job.state IN ('done', 'superseded') THEN 0 ELSE job.failures END,
        moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank, changed_at = now()
    WHERE job.state IN ('done', 'superseded')
       OR job.state = 'waiting' AND (excluded.moved, excluded.ordinal, excluded.rank) < (job.moved, job.ordinal, job.rank)
RETURNING id, state

-- name: uncut
SELECT pv.video_id, pv.moved, pv.ordinal, pv.rank, f.id AS fetch_id, f.first_pts_ms, f.duration_ms
FROM project_video pv JOIN "fetch" f ON f.id = pv.fetch_id
WHERE pv.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR pv.video_id = %(video_id)s)
  AND pv.reason IS NULL AND NOT pv.is_cut AND f.fetched_at IS NOT NULL
ORDER BY pv.video_id

-- name: add_segment
INSERT INTO segment (fetch_id, key, start_ms, end_ms, max_frames)
VALUES (%(fetch_id)s, %(key)s, %(start_ms)s, %(end_ms)s, %(max_frames)s)
ON CONFLICT (fetch_id, key, start_ms) DO NOTHING

-- name: link_segments
INSERT INTO project_segment (project_id, segment_id, video_id, moved, ordinal, rank, start_ms)
SELECT pv.project_id, s.id, pv.video_id, pv.moved, pv.ordinal, pv.rank, s.start_ms
FROM project_video pv JOIN segment s ON s.fetch_id = pv.fetch_id AND s.key = %(key)s
WHERE pv.project_id = %(project_id)s AND pv.video_id = %(video_id)s
ON CONFLICT DO NOTHING

-- name: mark_cut
UPDATE project_video SET is_cut = true WHERE project_id = %(project_id)s AND video_id = %(video_id)s

-- name: extract
INSERT INTO job (stage, segment_id, video_id, key, moved, ordinal, rank, start_ms)
SELECT 'extract', s.id, ps.video_id, s.key, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps JOIN segment s ON s.id = ps.segment_id JOIN "fetch" f ON f.id = s.fetch_id
WHERE ps.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s)
  AND s.shard IS NULL AND f.path IS NOT NULL
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage = 'extract' AND true
                  AND NOT (j.state IN ('done', 'superseded')))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', failures = 0, changed_at = now() WHERE job.state IN ('done', 'superseded')
RETURNING id, state

-- name: filter
INSERT INTO job (stage, segment_id, project_id, video_id, key, runtime_key, moved, ordinal, rank, start_ms)
SELECT 'filter', ps.segment_id, ps.project_id, ps.video_id, %(key)s, %(runtime_key)s, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
WHERE ps.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s)
  AND s.shard IS NOT NULL AND ps.filtered IS DISTINCT FROM %(key)s
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage = 'filter' AND j.project_id = ps.project_id
                  AND NOT (j.state IN ('done', 'superseded') OR j.state IN ('waiting', 'dead') AND (j.key, j.runtime_key) <> (%(key)s, %(runtime_key)s)))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = CASE WHEN job.state = 'running' THEN 'running' ELSE 'waiting' END,
        key = excluded.key, runtime_key = excluded.runtime_key, failures = 0, not_before = NULL, changed_at = now()
    WHERE job.state IN ('done', 'superseded')
       OR job.state IN ('waiting', 'dead') AND (job.key, job.runtime_key) <> (excluded.key, excluded.runtime_key)
RETURNING id, state

-- name: dedup
-- Admission goes up to the frontier: everything before it has been filtered.
INSERT INTO job (stage, segment_id, project_id, video_id, key, moved, ordinal, rank, start_ms)
SELECT 'dedup', ps.segment_id, ps.project_id, ps.video_id, %(key)s, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps
WHERE ps.project_id = %(project_id)s AND NOT ps.is_decided AND NOT ps.is_held AND ps.filtered = %(filter_key)s
  AND (%(frontier)s::boolean IS FALSE OR (ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms)
       < (%(moved)s::bigint, %(ordinal)s::int, %(rank)s::int, %(at_video)s::text, %(start_ms)s::bigint))
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage = 'dedup' AND j.project_id = ps.project_id
                  AND NOT (j.state IN ('done', 'superseded')))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', key = excluded.key, failures = 0, not_before = NULL,
        moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank, changed_at = now()
    WHERE job.state IN ('done', 'superseded')
RETURNING id, state

-- name: detect
-- Only behind the frontier: what is kept there stays kept, so nothing is detected in vain.
INSERT INTO job (stage, segment_id, project_id, video_id, key, runtime_key, moved, ordinal, rank, start_ms)
SELECT 'detect', ps.segment_id, ps.project_id, ps.video_id, %(key)s, %(runtime_key)s, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps
WHERE ps.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s)
  AND ps.is_decided AND ps.filtered = %(filter_key)s
  AND (%(frontier)s::boolean IS FALSE OR (ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms)
       < (%(moved)s::bigint, %(ordinal)s::int, %(rank)s::int, %(at_video)s::text, %(start_ms)s::bigint))
  AND EXISTS (SELECT FROM project_frame pf WHERE pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id AND pf.is_kept
              AND NOT EXISTS (SELECT FROM detection_run r WHERE r.segment_id = pf.segment_id AND r.pts_ms = pf.pts_ms
                              AND r.detector = %(key)s))
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage = 'detect' AND j.project_id = ps.project_id
                  AND NOT (j.state IN ('done', 'superseded') OR j.state IN ('waiting', 'dead') AND (j.key, j.runtime_key) <> (%(key)s, %(runtime_key)s)))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = CASE WHEN job.state = 'running' THEN 'running' ELSE 'waiting' END,
        key = excluded.key, runtime_key = excluded.runtime_key, failures = 0, not_before = NULL, changed_at = now()
    WHERE job.state IN ('done', 'superseded')
       OR job.state IN ('waiting', 'dead') AND (job.key, job.runtime_key) <> (excluded.key, excluded.runtime_key)
RETURNING id, state

-- name: supersede
-- Shared work that no project wants any more.
UPDATE job SET state = 'superseded', not_before = NULL, changed_at = now()
WHERE state IN ('waiting', 'blocked', 'dead') AND (
    stage = 'download' AND NOT EXISTS (SELECT FROM project_video pv WHERE pv.fetch_id = job.fetch_id AND pv.reason IS NULL)
    OR stage = 'extract' AND NOT EXISTS (SELECT FROM project_segment ps WHERE ps.segment_id = job.segment_id)
    OR stage IN ('filter', 'dedup', 'detect') AND NOT EXISTS (
        SELECT FROM project_segment ps WHERE ps.segment_id = job.segment_id AND ps.project_id = job.project_id)
    OR stage = 'expand' AND NOT EXISTS (SELECT FROM source s WHERE s.id = job.source_id AND s.expanded_at IS NULL))
  AND (%(video_id)s::text IS NULL OR video_id = %(video_id)s)
