-- Which jobs a project lacks. Every statement is idempotent and runs in finish, at registration and in the
-- supervisor's tick; %(video_id)s narrows it to one video, null means all of the project.
-- A row that is there is only woken (done or superseded → waiting; shared work that rests with a paused project) or re-keyed, never doubled; one that needs
-- neither is not touched, for ON CONFLICT locks whatever it meets.
-- IS NOT DISTINCT FROM keeps a segment's jobs to be found by the segment: a stage that is new to the statistics looks
-- empty, and reading all its jobs for each of 30,000 segments took 13 s.

-- name: plan
-- `is_held_up`: something of the video is stuck, or something of the project was; else holds need no looking at.
SELECT plan, video_limit, is_paused, %(video_id)s::text IS NULL
    OR EXISTS (SELECT FROM job WHERE video_id = %(video_id)s AND state IN ('blocked', 'dead'))
    OR EXISTS (SELECT FROM project_video WHERE project_id = %(project_id)s AND is_held AND video_id = %(video_id)s)
    OR EXISTS (SELECT FROM project_segment WHERE project_id = %(project_id)s AND is_held AND video_id = %(video_id)s)
    AS is_held_up
FROM project WHERE id = %(project_id)s

-- name: projects_of_video
SELECT project_id FROM project_video WHERE video_id = %(video_id)s ORDER BY project_id

-- name: expand
INSERT INTO job (stage, source_id, project_id, key, site, moved, ordinal, state)
SELECT 'expand', s.id, s.project_id, 'expand', s.site, s.moved, s.ordinal,
    CASE WHEN site.state <> 'open' THEN 'blocked' ELSE 'waiting' END
FROM source s LEFT JOIN site ON site.name = s.site
WHERE s.project_id = %(project_id)s AND s.expanded_at IS NULL
  AND NOT EXISTS (SELECT FROM job j WHERE j.source_id = s.id AND j.state NOT IN ('done', 'superseded'))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = excluded.state, moved = excluded.moved, failures = 0, changed_at = now()
    WHERE job.state IN ('done', 'superseded')

-- name: unjudged
-- What a verdict on a video rests on: a person's word first, then the policy, what is known of it, and whether its site
-- gives it. What is here already stays: that a site stopped giving a video takes nothing away.
SELECT * FROM (
    SELECT v.*, pv.is_cut, pv.judged AS judged_by, word.refused,
        concat_ws(' ', %(policy)s::text, extract(epoch FROM v.metadata_at), word.refused) AS grounds
    FROM project_video pv JOIN video v ON v.id = pv.video_id LEFT JOIN "fetch" f ON f.id = pv.fetch_id
    CROSS JOIN LATERAL (SELECT CASE
        WHEN EXISTS (SELECT FROM forgotten w WHERE w.video_id = v.id)
          OR EXISTS (SELECT FROM forgotten w WHERE w.uploader IS NOT NULL AND is_by(v, w.uploader)) THEN 'forgotten'
        WHEN EXISTS (SELECT FROM rejection r WHERE r.project_id = pv.project_id AND r.video_id = v.id AND r.pts_ms IS NULL)
          OR EXISTS (SELECT FROM rejection r WHERE r.project_id = pv.project_id AND r.uploader IS NOT NULL AND is_by(v, r.uploader))
        THEN 'rejected'
        WHEN f.fetched_at IS NULL THEN v.skipped END AS refused OFFSET 0) AS word  -- asked once, not wherever it is named
    WHERE pv.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR pv.video_id = %(video_id)s)
) AS known WHERE judged_by IS DISTINCT FROM grounds

-- name: judge
UPDATE project_video pv SET judged = v.grounds, reason = v.reason
FROM unnest(%(video_ids)s::text[], %(grounds)s::text[], %(reasons)s::text[]) AS v (video_id, grounds, reason)
WHERE pv.project_id = %(project_id)s AND pv.video_id = v.video_id

-- name: unchosen
-- Wanted videos without a fetch. Under a limit the first N of the order, known up to the first silent source.
WITH silent AS (
    SELECT moved, ordinal FROM source
    WHERE project_id = %(project_id)s AND expanded_at IS NULL AND NOT is_held ORDER BY 1, 2 LIMIT 1
), first_ones AS (
    SELECT pv.video_id, pv.fetch_id FROM project_video pv
    WHERE pv.project_id = %(project_id)s AND pv.reason IS NULL AND %(video_limit)s::int IS NOT NULL
      AND NOT EXISTS (SELECT FROM silent WHERE (pv.moved, pv.ordinal) >= (silent.moved, silent.ordinal))
    ORDER BY pv.moved, pv.ordinal, pv.rank, pv.video_id LIMIT %(video_limit)s
)
SELECT video_id FROM first_ones WHERE fetch_id IS NULL
UNION ALL
SELECT video_id FROM project_video
WHERE project_id = %(project_id)s AND reason IS NULL AND NOT is_cut AND NOT is_held AND fetch_id IS NULL
  AND (%(video_id)s::text IS NULL OR video_id = %(video_id)s) AND %(video_limit)s::int IS NULL

-- name: make_fetch
-- What is there serves whoever asks for no more; else the project's own download key.
INSERT INTO "fetch" (video_id, key, max_height)
SELECT v.id, CASE WHEN v.site IS NULL THEN 'local' ELSE %(key)s END, CASE WHEN v.site IS NULL THEN NULL ELSE %(max_height)s::int END
FROM video v WHERE v.id = ANY(%(video_ids)s)
  AND NOT EXISTS (SELECT FROM "fetch" f WHERE f.video_id = v.id AND f.fetched_at IS NOT NULL
                  AND (f.max_height IS NULL OR f.max_height >= %(max_height)s))
ORDER BY v.id
ON CONFLICT (video_id, key) DO NOTHING

-- name: assign_fetch
UPDATE project_video pv SET fetch_id = (
    SELECT f.id FROM "fetch" f WHERE f.video_id = pv.video_id
      AND (f.key IN (%(key)s, 'local') OR f.fetched_at IS NOT NULL AND f.max_height >= %(max_height)s)
    ORDER BY f.fetched_at IS NOT NULL DESC, f.key = %(key)s DESC, f.max_height, f.id LIMIT 1)
WHERE pv.project_id = %(project_id)s AND pv.video_id = ANY(%(video_ids)s) AND pv.fetch_id IS NULL

-- name: download
-- Also when the file was collected and a segment of it has to be extracted (again).
INSERT INTO job (stage, fetch_id, video_id, key, site, moved, ordinal, rank, state)
SELECT 'download', f.id, f.video_id, f.key, v.site, pv.moved, pv.ordinal, pv.rank,
    CASE WHEN site.state <> 'open' THEN 'blocked' ELSE 'waiting' END
FROM project_video pv JOIN "fetch" f ON f.id = pv.fetch_id JOIN video v ON v.id = f.video_id
LEFT JOIN site ON site.name = v.site LEFT JOIN job j ON j.fetch_id = f.id
WHERE pv.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR pv.video_id = %(video_id)s)
  AND pv.reason IS NULL AND f.path IS NULL AND (NOT pv.is_cut OR EXISTS (
      SELECT FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
      WHERE ps.project_id = pv.project_id AND ps.video_id = pv.video_id AND s.shard IS NULL AND NOT ps.is_held))
  AND (j.state IS NULL OR j.state IN ('done', 'superseded') OR j.state = 'waiting' AND j.not_before = 'infinity'
       OR j.state = 'waiting' AND (pv.moved, pv.ordinal, pv.rank) < (j.moved, j.ordinal, j.rank))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = CASE WHEN job.state = 'waiting' THEN 'waiting' ELSE excluded.state END,
        failures = CASE WHEN job.state = 'waiting' THEN job.failures ELSE 0 END,
        not_before = nullif(job.not_before, 'infinity'),
        moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank, changed_at = now()
    WHERE job.state IN ('waiting', 'done', 'superseded')

-- name: uncut
SELECT pv.video_id, f.id AS fetch_id, f.first_pts_ms, f.duration_ms
FROM project_video pv JOIN "fetch" f ON f.id = pv.fetch_id
WHERE pv.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR pv.video_id = %(video_id)s)
  AND pv.reason IS NULL AND NOT pv.is_cut AND NOT pv.is_held AND f.fetched_at IS NOT NULL
ORDER BY pv.video_id

-- name: add_segments
INSERT INTO segment (fetch_id, key, start_ms, end_ms, max_frames)
SELECT %(fetch_id)s, %(key)s, start_ms, end_ms, max_frames
FROM unnest(%(start_ms)s::bigint[], %(end_ms)s::bigint[], %(max_frames)s::int[]) AS cut (start_ms, end_ms, max_frames)
ON CONFLICT (fetch_id, key, start_ms) DO NOTHING

-- name: link_segments
INSERT INTO project_segment (project_id, segment_id, video_id, moved, ordinal, rank, start_ms)
SELECT pv.project_id, s.id, pv.video_id, pv.moved, pv.ordinal, pv.rank, s.start_ms
FROM project_video pv JOIN segment s ON s.fetch_id = pv.fetch_id AND s.key = %(key)s
WHERE pv.project_id = %(project_id)s AND pv.video_id = %(video_id)s
ON CONFLICT DO NOTHING RETURNING segment_id

-- name: mark_cut
UPDATE project_video SET is_cut = true WHERE project_id = %(project_id)s AND video_id = %(video_id)s

-- name: extract
INSERT INTO job (stage, segment_id, video_id, key, moved, ordinal, rank, start_ms)
SELECT 'extract', s.id, ps.video_id, s.key, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps JOIN segment s ON s.id = ps.segment_id JOIN "fetch" f ON f.id = s.fetch_id
WHERE ps.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s)
  AND s.shard IS NULL AND f.path IS NOT NULL
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage = 'extract'
                  AND j.state NOT IN ('done', 'superseded') AND NOT (j.state = 'waiting' AND coalesce(j.not_before = 'infinity', false)))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', failures = CASE WHEN job.state = 'waiting' THEN job.failures ELSE 0 END,
        not_before = nullif(job.not_before, 'infinity'), changed_at = now()
    WHERE job.state IN ('done', 'superseded') OR job.state = 'waiting' AND job.not_before = 'infinity'

-- name: filter
INSERT INTO job (stage, segment_id, project_id, video_id, key, runtime_key, moved, ordinal, rank, start_ms)
SELECT 'filter', ps.segment_id, ps.project_id, ps.video_id, %(key)s, %(runtime_key)s, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
WHERE ps.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s)
  AND s.shard IS NOT NULL AND ps.filtered IS NULL
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage IS NOT DISTINCT FROM 'filter' AND j.project_id IS NOT DISTINCT FROM ps.project_id
                  AND NOT (j.state IN ('done', 'superseded')
                           OR j.state IN ('waiting', 'dead') AND (j.key, j.runtime_key) <> (%(key)s, %(runtime_key)s)))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', key = excluded.key, runtime_key = excluded.runtime_key,
        moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank,
        failures = 0, deaths = 0, not_before = NULL, reason = NULL, detail = NULL, changed_at = now()
    WHERE job.state IN ('waiting', 'done', 'superseded', 'dead')

-- name: embed
-- Passed pictures, and rejected ones (what looks like them is not wanted), that have no vector for dedup's cosine yet.
INSERT INTO job (stage, segment_id, project_id, video_id, key, runtime_key, moved, ordinal, rank, start_ms)
SELECT 'embed', ps.segment_id, ps.project_id, ps.video_id, %(key)s, %(runtime_key)s, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
WHERE ps.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s)
  AND s.shard IS NOT NULL AND ps.filtered IS NOT NULL AND NOT ps.is_decided
  AND EXISTS (SELECT FROM project_frame pf WHERE pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id
              AND (pf.reason IS NULL OR pf.reason = 'rejected')
              AND NOT EXISTS (SELECT FROM embedding e WHERE e.segment_id = pf.segment_id AND e.model = %(key)s AND pf.pts_ms = ANY(e.pts_ms)))
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage IS NOT DISTINCT FROM 'embed' AND j.project_id IS NOT DISTINCT FROM ps.project_id
                  AND NOT (j.state IN ('done', 'superseded')
                           OR j.state IN ('waiting', 'dead') AND (j.key, j.runtime_key) <> (%(key)s, %(runtime_key)s)))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', key = excluded.key, runtime_key = excluded.runtime_key,
        moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank,
        failures = 0, deaths = 0, not_before = NULL, reason = NULL, detail = NULL, changed_at = now()
    WHERE job.state IN ('waiting', 'done', 'superseded', 'dead')

-- name: embed_known
-- The pictures never to mine again: one job of the project, on no segment.
INSERT INTO job (stage, project_id, key, runtime_key)
SELECT 'embed', %(project_id)s, %(key)s, %(runtime_key)s FROM known_set k
WHERE k.digest = %(known)s AND NOT EXISTS (SELECT FROM known_embedding e WHERE e.digest = k.digest AND e.model = %(key)s)
  AND NOT EXISTS (SELECT FROM job j WHERE j.project_id = %(project_id)s AND j.stage = 'embed' AND j.segment_id IS NULL
                  AND NOT (j.state IN ('done', 'superseded')
                           OR j.state IN ('waiting', 'dead') AND (j.key, j.runtime_key) <> (%(key)s, %(runtime_key)s)))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', key = excluded.key, runtime_key = excluded.runtime_key,
        failures = 0, deaths = 0, not_before = NULL, reason = NULL, detail = NULL, changed_at = now()
    WHERE job.state IN ('waiting', 'done', 'superseded', 'dead')

-- name: dedup
-- The next segments in data order that are filtered, and lie before the first source that has not answered and the
-- first wanted video that is not cut. Admission goes in this order, so a window is enough and costs the same at any size.
WITH barrier AS (
    SELECT * FROM (
        (SELECT moved, ordinal, -1 AS rank, '' AS video_id FROM source
         WHERE project_id = %(project_id)s AND expanded_at IS NULL AND NOT is_held ORDER BY 1, 2 LIMIT 1)
        UNION ALL
        (SELECT moved, ordinal, rank, video_id FROM project_video
         WHERE project_id = %(project_id)s AND reason IS NULL AND NOT is_cut AND NOT is_held AND fetch_id IS NOT NULL
         ORDER BY 1, 2, 3, 4 LIMIT 1)
        UNION ALL
        (SELECT moved, ordinal, rank, video_id FROM project_video
         WHERE project_id = %(project_id)s AND reason IS NULL AND NOT is_cut AND NOT is_held AND fetch_id IS NULL
           AND %(video_limit)s::int IS NULL
         ORDER BY 1, 2, 3, 4 LIMIT 1)
    ) AS places ORDER BY moved, ordinal, rank, video_id LIMIT 1
), next_ones AS (
    SELECT segment_id, video_id, moved, ordinal, rank, start_ms, filtered FROM project_segment
    WHERE project_id = %(project_id)s AND NOT is_decided AND NOT is_held
    ORDER BY moved, ordinal, rank, video_id, start_ms LIMIT %(window)s
), lacking AS (
    SELECT n.*, filtered IS NULL OR %(embedding)s::text IS NOT NULL AND EXISTS (
        SELECT FROM project_frame pf WHERE pf.project_id = %(project_id)s AND pf.segment_id = n.segment_id AND pf.reason IS NULL
          AND NOT EXISTS (SELECT FROM embedding e WHERE e.segment_id = pf.segment_id AND e.model = %(embedding)s AND pf.pts_ms = ANY(e.pts_ms))
    ) AS is_lacking FROM next_ones n
), ready AS (
    SELECT *, count(*) FILTER (WHERE is_lacking)
        OVER (ORDER BY moved, ordinal, rank, video_id, start_ms ROWS UNBOUNDED PRECEDING) AS unready FROM lacking
)
INSERT INTO job (stage, segment_id, project_id, video_id, key, moved, ordinal, rank, start_ms)
SELECT 'dedup', r.segment_id, %(project_id)s, r.video_id, %(key)s, r.moved, r.ordinal, r.rank, r.start_ms
FROM ready r WHERE r.unready = 0
  -- What everything is compared with comes first: known pictures, and those a person has spoken on.
  AND (%(embedding)s::text IS NULL OR %(known)s::text IS NULL
       OR EXISTS (SELECT FROM known_embedding e WHERE e.digest = %(known)s AND e.model = %(embedding)s))
  AND NOT EXISTS (SELECT FROM human_label h JOIN project_segment ps ON ps.project_id = h.project_id AND ps.video_id = h.video_id
                  WHERE h.project_id = %(project_id)s AND ps.filtered IS NULL AND NOT ps.is_held)
  AND (%(embedding)s::text IS NULL OR NOT EXISTS (
      SELECT FROM rejection r JOIN project_segment ps ON ps.project_id = r.project_id AND ps.video_id = r.video_id
      WHERE r.project_id = %(project_id)s AND r.pts_ms IS NOT NULL AND ps.filtered IS NULL AND NOT ps.is_held))
  AND (%(embedding)s::text IS NULL OR NOT EXISTS (  -- asked of what is left to embed, not of all that was said
      SELECT FROM job j WHERE j.project_id = %(project_id)s AND j.stage = 'embed' AND j.state IN ('waiting', 'running')
        AND (EXISTS (SELECT FROM human_label h WHERE h.project_id = j.project_id AND h.video_id = j.video_id)
             OR EXISTS (SELECT FROM rejection r WHERE r.project_id = j.project_id AND r.video_id = j.video_id AND r.pts_ms IS NOT NULL))))
  AND NOT EXISTS (SELECT FROM barrier b WHERE (r.moved, r.ordinal, r.rank, r.video_id) >= (b.moved, b.ordinal, b.rank, b.video_id))
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = r.segment_id AND j.stage = 'dedup' AND j.project_id = %(project_id)s
                  AND NOT (j.state IN ('done', 'superseded') OR j.state IN ('waiting', 'dead') AND j.key <> %(key)s))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', key = excluded.key, failures = 0, deaths = 0, not_before = NULL, reason = NULL, detail = NULL,
        moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank, changed_at = now()
    WHERE job.state IN ('waiting', 'done', 'superseded', 'dead')

-- name: detect
INSERT INTO job (stage, segment_id, project_id, video_id, key, runtime_key, moved, ordinal, rank, start_ms)
SELECT 'detect', ps.segment_id, ps.project_id, ps.video_id, %(key)s, %(runtime_key)s, ps.moved, ps.ordinal, ps.rank, ps.start_ms
FROM project_segment ps
WHERE ps.project_id = %(project_id)s AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s) AND ps.is_decided
  AND EXISTS (SELECT FROM project_frame pf WHERE pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id AND pf.is_kept
              AND NOT EXISTS (SELECT FROM detection_run r WHERE r.segment_id = pf.segment_id AND r.pts_ms = pf.pts_ms
                              AND r.detector = %(key)s))
  AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.stage IS NOT DISTINCT FROM 'detect' AND j.project_id IS NOT DISTINCT FROM ps.project_id
                  AND NOT (j.state IN ('done', 'superseded')
                           OR j.state IN ('waiting', 'dead') AND (j.key, j.runtime_key) <> (%(key)s, %(runtime_key)s)))
ON CONFLICT (stage, source_id, fetch_id, segment_id, project_id) DO UPDATE
    SET state = 'waiting', key = excluded.key, runtime_key = excluded.runtime_key,
        moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank,
        failures = 0, deaths = 0, not_before = NULL, reason = NULL, detail = NULL, changed_at = now()
    WHERE job.state IN ('waiting', 'done', 'superseded', 'dead')

-- name: supersede
-- Work that no project wants any more.
UPDATE job SET state = 'superseded', not_before = NULL, changed_at = now()
WHERE state IN ('waiting', 'blocked', 'dead') AND (
    stage = 'download' AND NOT EXISTS (SELECT FROM project_video pv WHERE pv.fetch_id = job.fetch_id AND pv.reason IS NULL)
    OR stage = 'extract' AND NOT EXISTS (SELECT FROM project_segment ps WHERE ps.segment_id = job.segment_id)
    OR stage IN ('filter', 'embed', 'dedup', 'detect') AND segment_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM project_segment ps WHERE ps.segment_id = job.segment_id AND ps.project_id = job.project_id)
    OR stage IN ('filter', 'embed', 'dedup', 'detect') AND NOT EXISTS (  -- under a model or a rule of the past
        SELECT FROM project p WHERE p.id = job.project_id AND p.plan #>> ARRAY[stage, 'key'] = job.key
          AND p.plan #>> ARRAY[stage, 'runtime_key'] = job.runtime_key)
    OR stage = 'embed' AND segment_id IS NULL AND NOT EXISTS (
        SELECT FROM project p WHERE p.id = job.project_id AND p.plan #> '{dedup,params}' ? 'known')
    OR stage = 'expand' AND NOT EXISTS (SELECT FROM source s WHERE s.id = job.source_id AND s.expanded_at IS NULL))
  AND (%(video_ids)s::text[] IS NULL OR video_id = ANY(%(video_ids)s))
