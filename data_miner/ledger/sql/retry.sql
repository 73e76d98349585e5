-- Dead jobs get another chance because a person says that the cause is gone.

-- name: revive
-- Back to waiting with a clean slate; of a site that is shut, back among those that wait for it.
WITH dead AS (
    SELECT job.id, job.attempt, job.reason, CASE WHEN site.state <> 'open' THEN 'blocked' ELSE 'waiting' END AS state,
        site.reason AS site_reason
    FROM job LEFT JOIN site ON site.name = job.site
    WHERE job.state = 'dead' AND (%(stage)s::text IS NULL OR CASE job.stage WHEN 'embed' THEN 'dedup' ELSE job.stage END = %(stage)s)
      AND (%(reason)s::text IS NULL OR coalesce(job.reason, 'error') = %(reason)s)
      AND (job.project_id = %(project_id)s
        OR job.stage = 'download' AND job.fetch_id IN (
            SELECT fetch_id FROM project_video WHERE project_id = %(project_id)s AND reason IS NULL)
        OR job.stage = 'extract' AND job.segment_id IN (
            SELECT segment_id FROM project_segment WHERE project_id = %(project_id)s))
    ORDER BY job.id FOR UPDATE OF job
), back AS (
    UPDATE job SET state = dead.state, failures = 0, deaths = 0, not_before = NULL, detail = NULL, changed_at = now(),
        reason = CASE WHEN dead.state = 'blocked' THEN dead.site_reason END
    FROM dead WHERE job.id = dead.id
), noted AS (
    INSERT INTO job_event (job_id, attempt, event, reason) SELECT id, attempt, 'revived', reason FROM dead
)
SELECT dead.id, CASE job.stage WHEN 'embed' THEN 'dedup' ELSE job.stage END AS stage, coalesce(dead.reason, 'error') AS reason, dead.state
FROM dead JOIN job ON job.id = dead.id ORDER BY dead.id
