-- Jobs as `data-miner jobs` shows them. The project's own, with shared work on its videos.

-- name: jobs
SELECT j.id, j.stage, j.state, CASE WHEN j.not_before = 'infinity' THEN 'paused' ELSE j.reason END AS reason, j.detail,
    coalesce(CASE WHEN j.video_id LIKE 'local:%%' THEN video.url END, j.video_id, source.locator) AS subject, j.start_ms, j.site,
    j.attempt, j.failures, j.deaths, nullif(j.not_before, 'infinity') AS not_before, j.changed_at, project.name AS project
FROM job j LEFT JOIN source ON source.id = j.source_id LEFT JOIN project ON project.id = j.project_id
LEFT JOIN video ON video.id = j.video_id
WHERE (%(state)s::text IS NULL OR j.state = %(state)s) AND (%(stage)s::text IS NULL OR j.stage = %(stage)s)
  AND (%(reason)s::text IS NULL OR coalesce(j.reason, 'error') = %(reason)s)
  AND (%(project_id)s::int IS NULL OR j.project_id = %(project_id)s
    OR j.stage = 'download' AND j.fetch_id IN (SELECT fetch_id FROM project_video WHERE project_id = %(project_id)s)
    OR j.stage = 'extract' AND j.segment_id IN (SELECT segment_id FROM project_segment WHERE project_id = %(project_id)s))
ORDER BY j.changed_at DESC, j.id LIMIT %(limit)s

-- name: counts
SELECT j.stage, j.state, CASE WHEN j.state IN ('dead', 'blocked') THEN coalesce(j.reason, 'error') ELSE j.reason END AS reason,
    count(*)::int AS n, min(j.id) AS example
FROM job j
WHERE (%(state)s::text IS NULL OR j.state = %(state)s) AND (%(stage)s::text IS NULL OR j.stage = %(stage)s)
  AND (%(reason)s::text IS NULL OR coalesce(j.reason, 'error') = %(reason)s)
  AND (%(project_id)s::int IS NULL OR j.project_id = %(project_id)s
    OR j.stage = 'download' AND j.fetch_id IN (SELECT fetch_id FROM project_video WHERE project_id = %(project_id)s)
    OR j.stage = 'extract' AND j.segment_id IN (SELECT segment_id FROM project_segment WHERE project_id = %(project_id)s))
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3

-- name: job
SELECT j.id, j.stage, j.source_id, j.fetch_id, j.segment_id, j.project_id, j.video_id, j.key, j.runtime_key, j.site,
    j.moved, j.ordinal, j.rank, j.start_ms, j.state, nullif(j.not_before, 'infinity') AS not_before, j.attempt, j.failures,
    j.deaths, j.lease, j.worker_id, j.is_started, j.progress, j.progress_at, j.expires_at,
    CASE WHEN j.not_before = 'infinity' THEN 'paused' ELSE j.reason END AS reason, j.detail, j.changed_at,
    project.name AS project, source.locator, v.title, v.url, w.host, w.pid
FROM job j LEFT JOIN project ON project.id = j.project_id LEFT JOIN source ON source.id = j.source_id
LEFT JOIN video v ON v.id = j.video_id LEFT JOIN worker w ON w.id = j.worker_id
WHERE j.id = %(id)s

-- name: events
SELECT at, attempt, event, reason, detail FROM job_event WHERE job_id = %(id)s ORDER BY at, attempt
