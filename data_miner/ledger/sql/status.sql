-- What users ask: how far is it, what was thrown away and why, what does it wait for.

-- name: outstanding
SELECT count(*) FILTER (WHERE state IN ('waiting', 'running'))::int AS outstanding,
    count(*) FILTER (WHERE state = 'blocked')::int AS blocked,
    count(*) FILTER (WHERE state = 'dead')::int AS dead
FROM project_job AS own JOIN project ON project.id = own.project_id
WHERE own.project_id = %(project_id)s AND own.state IN ('waiting', 'running', 'blocked', 'dead')
  -- What another pipeline left, or waits for a model that is not here, is nobody's work in this run.
  AND plan -> 'stages' ? CASE stage WHEN 'expand' THEN 'download' ELSE stage END

-- name: stages
-- By video: a video counts once a stage, in the state that needs most attention. What is open is counted from the
-- jobs that are left, what is done from the videos: a project's finished jobs are never read. A video that dedup
-- cannot admit before others are through waits for dedup.
WITH open AS (
    SELECT CASE stage WHEN 'embed' THEN 'dedup' ELSE stage END AS stage, video_id, CASE
        WHEN bool_or(state = 'dead') THEN 'dead' WHEN bool_or(state = 'blocked') THEN 'blocked'
        WHEN bool_or(state = 'running') THEN 'running' ELSE 'waiting' END AS state
    FROM project_job WHERE project_id = %(project_id)s AND video_id IS NOT NULL
      AND state IN ('waiting', 'running', 'blocked', 'dead') GROUP BY 1, 2
), unfiltered AS (
    SELECT DISTINCT video_id FROM project_segment WHERE project_id = %(project_id)s AND filtered IS NULL
), undecided AS (
    SELECT DISTINCT video_id FROM project_segment WHERE project_id = %(project_id)s AND NOT is_decided AND NOT is_held
), own AS (
    SELECT pv.video_id, f.fetched_at IS NOT NULL AS is_fetched, pv.is_cut,
        uf.video_id IS NULL AS is_filtered, ud.video_id IS NULL AS is_decided, p.plan -> 'stages' AS stages
    FROM project_video pv JOIN project p ON p.id = pv.project_id LEFT JOIN "fetch" f ON f.id = pv.fetch_id
    LEFT JOIN unfiltered uf ON uf.video_id = pv.video_id LEFT JOIN undecided ud ON ud.video_id = pv.video_id
    WHERE pv.project_id = %(project_id)s AND pv.reason IS NULL
), found AS (
    SELECT stage, video_id, CASE
        WHEN stage = 'download' AND is_fetched OR stage = 'extract' AND is_cut
          OR stage = 'filter' AND is_cut AND is_filtered
          OR stage = 'dedup' AND is_cut AND is_filtered AND is_decided
          OR stage = 'detect' AND is_cut AND is_filtered AND is_decided AND stages ? 'detect' THEN 'done'
        WHEN stage = 'dedup' AND is_cut AND is_filtered AND stages ? 'dedup' THEN 'waiting' END AS state
    FROM own, unnest(ARRAY['download', 'extract', 'filter', 'dedup', 'detect']) AS stage
)
SELECT stage, coalesce(open.state, found.state) AS state, count(*)::int AS n
FROM found FULL JOIN open USING (stage, video_id)
WHERE coalesce(open.state, found.state) IS NOT NULL GROUP BY 1, 2

-- name: failures
SELECT CASE stage WHEN 'embed' THEN 'dedup' ELSE stage END AS stage, coalesce(reason, 'error') AS reason, count(*)::int AS n
FROM project_job WHERE project_id = %(project_id)s AND state = 'dead' GROUP BY 1, 2 ORDER BY 1, 2

-- name: videos
-- Mined: nothing of it is open, and dedup has spoken on all of it (its turn may come long after its last job ended).
WITH trouble AS (
    SELECT video_id, bool_or(state = 'dead') AS is_dead, bool_or(state = 'blocked') AS is_blocked
    FROM project_job WHERE project_id = %(project_id)s AND video_id IS NOT NULL
      AND state IN ('waiting', 'running', 'blocked', 'dead') GROUP BY 1
), undecided AS (
    SELECT DISTINCT ps.video_id FROM project_segment ps JOIN project p ON p.id = ps.project_id
    WHERE ps.project_id = %(project_id)s AND NOT ps.is_decided AND NOT ps.is_held AND p.plan -> 'stages' ? 'dedup'
)
SELECT count(*)::int AS found,
    count(*) FILTER (WHERE pv.reason IS NOT NULL)::int AS skipped,
    count(*) FILTER (WHERE pv.reason IS NULL AND f.fetched_at IS NOT NULL)::int AS downloaded,
    count(*) FILTER (WHERE pv.reason IS NULL AND t.is_dead)::int AS dead,
    count(*) FILTER (WHERE pv.reason IS NULL AND NOT t.is_dead AND t.is_blocked)::int AS blocked,
    count(*) FILTER (WHERE pv.reason IS NULL AND pv.is_cut AND t.video_id IS NULL AND u.video_id IS NULL)::int AS mined
FROM project_video pv LEFT JOIN "fetch" f ON f.id = pv.fetch_id
LEFT JOIN trouble t ON t.video_id = pv.video_id LEFT JOIN undecided u ON u.video_id = pv.video_id
WHERE pv.project_id = %(project_id)s

-- name: skipped
SELECT reason, count(*)::int AS n FROM project_video WHERE project_id = %(project_id)s AND reason IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1

-- name: frames
SELECT count(f.pts_ms)::int AS extracted,
    count(*) FILTER (WHERE pf.pts_ms IS NOT NULL AND coalesce(pf.reason, '') <> ALL (ARRAY['too_small', 'too_dark', 'too_bright', 'flat', 'too_blurry']))::int AS good,
    count(*) FILTER (WHERE pf.pts_ms IS NOT NULL AND pf.reason IS NULL)::int AS passed,
    count(*) FILTER (WHERE pf.is_kept)::int AS unique_frames
FROM project_segment ps LEFT JOIN frame f ON f.segment_id = ps.segment_id
LEFT JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = f.segment_id AND pf.pts_ms = f.pts_ms
WHERE ps.project_id = %(project_id)s

-- name: drops
SELECT 'extract' AS stage, 'max_frames' AS reason, sum(s.dropped_max_frames)::int AS n
FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
WHERE ps.project_id = %(project_id)s HAVING sum(s.dropped_max_frames) > 0
UNION ALL
SELECT 'filter', reason, count(*)::int FROM project_frame
WHERE project_id = %(project_id)s AND reason IS NOT NULL AND reason <> 'unscored' GROUP BY 2
UNION ALL
SELECT 'dedup', dedup_reason, count(*)::int FROM project_frame
WHERE project_id = %(project_id)s AND NOT is_kept AND reason IS NULL GROUP BY 2
UNION ALL
SELECT 'detect', 'no_detection', count(*)::int FROM project p
JOIN project_frame pf ON pf.project_id = p.id AND pf.is_kept AND pf.reason IS NULL
JOIN detection_run r ON r.segment_id = pf.segment_id AND r.pts_ms = pf.pts_ms AND r.detector = p.plan #>> '{detect,key}'
JOIN project_segment ps ON ps.project_id = p.id AND ps.segment_id = pf.segment_id
LEFT JOIN (SELECT DISTINCT segment_id, pts_ms FROM project_box WHERE project_id = %(project_id)s) AS framed
    ON framed.segment_id = pf.segment_id AND framed.pts_ms = pf.pts_ms
LEFT JOIN human_label h ON h.project_id = p.id AND h.video_id = ps.video_id AND h.pts_ms = pf.pts_ms
WHERE p.id = %(project_id)s AND framed.segment_id IS NULL AND h.video_id IS NULL HAVING count(*) > 0

-- name: boxes
SELECT label, count(*)::int AS n FROM project_box WHERE project_id = %(project_id)s GROUP BY 1 ORDER BY 2 DESC, 1

-- name: frames_with_boxes
SELECT count(*)::int AS n FROM (SELECT DISTINCT segment_id, pts_ms FROM project_box WHERE project_id = %(project_id)s) AS framed

-- name: sites
-- Without the slots, whose -infinity (a site that nothing was downloaded from) no Python date can hold.
SELECT name, sleep_interval, max_sleep_interval, slowdown, state, reason, since, next_try FROM site WHERE name IN (
    SELECT v.site FROM project_video pv JOIN video v ON v.id = pv.video_id WHERE pv.project_id = %(project_id)s
    UNION SELECT s.site FROM source s WHERE s.project_id = %(project_id)s) ORDER BY name

-- name: waits_for
SELECT site.name, site.state, site.reason, site.detail, site.since, site.next_try, count(*)::int AS jobs
FROM project_job AS own JOIN site ON site.name = own.site WHERE own.project_id = %(project_id)s AND own.state = 'blocked' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1

-- name: full_disk
-- Somebody's work that met a full disk and waits to be tried again; few jobs sleep, and they have an index.
SELECT detail FROM job WHERE state = 'waiting' AND not_before < 'infinity' AND reason = 'disk_full' LIMIT 1

-- name: yields
SELECT locator, videos, images FROM yield_per_source WHERE project = %(name)s AND videos > 0 ORDER BY images::float / videos DESC, ordinal

-- name: open_sources
SELECT count(*) FILTER (WHERE NOT is_held)::int AS waiting, count(*) FILTER (WHERE is_held)::int AS held,
    coalesce((SELECT is_paused FROM project WHERE id = %(project_id)s), false) AS is_paused
FROM source JOIN project ON project.id = project_id
WHERE project_id = %(project_id)s AND expanded_at IS NULL AND plan -> 'stages' ? 'download'
