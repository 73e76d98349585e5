-- Claiming and ending work. Every write after the claim carries (id, attempt, lease) in its WHERE clause;
-- only the database's clock is read.

-- name: claim
WITH picked AS (
    SELECT id FROM job
    WHERE stage = %(stage)s AND runtime_key = %(runtime_key)s
      AND state = 'waiting' AND not_before IS NULL AND site IS NULL
      AND deaths BETWEEN %(least_deaths)s AND %(most_deaths)s
    ORDER BY deaths, moved, ordinal, rank, start_ms, id
    LIMIT %(limit)s FOR UPDATE OF job SKIP LOCKED
)
UPDATE job SET state = 'running', attempt = attempt + 1, lease = gen_random_uuid(), worker_id = %(worker_id)s,
    is_started = false, progress = 0, progress_at = now(), changed_at = now(),
    expires_at = now() + make_interval(secs => %(lease_s)s)
FROM picked WHERE job.id = picked.id
RETURNING job.*

-- name: claim_at_site
-- One job of one site whose token is there, and the token with it. A page request and a download slot must be free;
-- the download's own token is taken by take_download_token once its metadata has passed.
WITH ready AS (
    SELECT site.name, site.state, site.trial_job FROM site CROSS JOIN LATERAL (
        SELECT FROM job WHERE job.stage = %(stage)s AND job.site = site.name AND job.state = 'waiting'
          AND job.not_before IS NULL AND job.site IS NOT NULL AND (site.state = 'open' OR job.id = site.trial_job)
        LIMIT 1) AS something
    WHERE site.state IN ('open', 'trial') AND site.next_request_at <= now()
      AND (%(stage)s <> 'download' OR (site.next_download_at <= now()
           AND (max_downloads IS NULL OR day < current_date OR downloads_today < max_downloads)))
    ORDER BY site.next_request_at LIMIT 1 FOR UPDATE OF site SKIP LOCKED
), picked AS (
    SELECT coalesce(in_order.id, trial.id) AS id, ready.name AS site
    FROM ready LEFT JOIN LATERAL (  -- one site at a time: the index gives its order, nothing is sorted
        SELECT job.id FROM job WHERE ready.state = 'open' AND job.stage = %(stage)s AND job.site = ready.name
          AND job.state = 'waiting' AND job.not_before IS NULL AND job.site IS NOT NULL
        ORDER BY deaths, moved, ordinal, rank, start_ms, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS in_order ON true
    LEFT JOIN LATERAL (
        SELECT job.id FROM job WHERE ready.state = 'trial' AND job.id = ready.trial_job AND job.stage = %(stage)s
          AND job.state = 'waiting' AND job.not_before IS NULL FOR UPDATE SKIP LOCKED) AS trial ON true
), paid AS (
    UPDATE site SET next_request_at = now() + make_interval(secs => sleep_requests * slowdown)
    FROM picked WHERE site.name = picked.site
)
UPDATE job SET state = 'running', attempt = attempt + 1, lease = gen_random_uuid(), worker_id = %(worker_id)s,
    is_started = false, progress = 0, progress_at = now(), changed_at = now(),
    expires_at = now() + make_interval(secs => %(lease_s)s)
FROM picked WHERE job.id = picked.id
RETURNING job.*

-- name: heartbeat
UPDATE job SET expires_at = now() + make_interval(secs => %(lease_s)s), is_started = job.is_started OR held.is_started,
    progress = held.progress,
    progress_at = CASE WHEN held.progress <> job.progress OR held.is_started AND NOT job.is_started THEN now() ELSE job.progress_at END
FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(leases)s::uuid[], %(progress)s::bigint[], %(started)s::boolean[])
     AS held (id, attempt, lease, progress, is_started)
WHERE job.id = held.id AND job.attempt = held.attempt AND job.lease = held.lease AND job.state = 'running'
RETURNING job.id

-- name: lock_video
SELECT FROM video WHERE id = %(video_id)s FOR NO KEY UPDATE

-- name: lock_leased
SELECT FROM job WHERE id = %(id)s AND attempt = %(attempt)s AND lease = %(lease)s AND state = 'running' FOR UPDATE

-- name: finish
UPDATE job SET state = 'done', lease = NULL, worker_id = NULL, expires_at = NULL, not_before = NULL, is_started = false,
    failures = 0, deaths = 0, reason = %(reason)s, detail = NULL, changed_at = now()
WHERE id = %(id)s AND attempt = %(attempt)s AND lease = %(lease)s AND state = 'running'
RETURNING id

-- name: is_done_by
SELECT FROM job WHERE id = %(id)s AND attempt = %(attempt)s AND state = 'done'

-- name: release
-- Given back unharmed: loaded ahead, drained, or not yet its turn. What cannot be done at all now (its segment waits
-- for the filter again, was withdrawn, its video is to be fetched again) is put aside: its successor is derived again.
UPDATE job SET lease = NULL, worker_id = NULL, expires_at = NULL, is_started = false, changed_at = now(),
    state = CASE WHEN stage = 'dedup' AND NOT EXISTS (
            SELECT FROM project_segment ps WHERE ps.segment_id = job.segment_id AND ps.project_id = job.project_id
              AND ps.filtered IS NOT NULL AND NOT ps.is_decided AND NOT ps.is_held)
        OR stage = 'extract' AND NOT EXISTS (
            SELECT FROM project_segment ps JOIN segment s ON s.id = ps.segment_id JOIN "fetch" f ON f.id = s.fetch_id
            WHERE ps.segment_id = job.segment_id AND f.path IS NOT NULL)
        THEN 'superseded' ELSE 'waiting' END,
    not_before = CASE WHEN %(delay_s)s::float > 0 THEN now() + make_interval(secs => %(delay_s)s) END
WHERE id = %(id)s AND attempt = %(attempt)s AND lease = %(lease)s AND state = 'running'
RETURNING id

-- name: retry_later
UPDATE job SET state = 'waiting', lease = NULL, worker_id = NULL, expires_at = NULL, is_started = false,
    failures = failures + %(counts)s, reason = %(reason)s, detail = %(detail)s, changed_at = now(),
    not_before = now() + make_interval(secs => %(delay_s)s)
WHERE id = %(id)s AND attempt = %(attempt)s AND lease = %(lease)s AND state = 'running'
RETURNING id

-- name: block
UPDATE job SET state = 'blocked', lease = NULL, worker_id = NULL, expires_at = NULL, is_started = false,
    reason = %(reason)s, detail = %(detail)s, changed_at = now()
WHERE id = %(id)s AND attempt = %(attempt)s AND lease = %(lease)s AND state = 'running'
RETURNING id

-- name: bury
UPDATE job SET state = 'dead', lease = NULL, worker_id = NULL, expires_at = NULL, is_started = false, not_before = NULL,
    failures = failures + 1, reason = %(reason)s, detail = %(detail)s, changed_at = now()
WHERE id = %(id)s AND attempt = %(attempt)s AND lease = %(lease)s AND state = 'running'
RETURNING id

-- name: note
INSERT INTO job_event (job_id, attempt, event, reason, detail, worker_id)
VALUES (%(id)s, %(attempt)s, %(event)s, %(reason)s, %(detail)s, %(worker_id)s)

-- name: sweep_expired
-- Nothing before one lease length after the server's start: an outage costs no work.
WITH gone AS (
    SELECT id, attempt, worker_id FROM job
    WHERE state = 'running' AND (expires_at < now() OR progress_at < now() - make_interval(secs => %(hung_s)s))
      AND pg_postmaster_start_time() < now() - make_interval(secs => %(lease_s)s)
    FOR UPDATE SKIP LOCKED
), back AS (
    UPDATE job SET state = 'waiting', lease = NULL, worker_id = NULL, expires_at = NULL, is_started = false, changed_at = now()
    FROM gone WHERE job.id = gone.id
)
INSERT INTO job_event (job_id, attempt, event, worker_id)
SELECT id, attempt, 'expired', worker_id FROM gone RETURNING job_id

-- name: release_worker
-- Its process is proven dead, so nothing of it can commit: no need to wait for the lease. `deaths` is 1 when it died
-- of its work and 0 when its node, its driver or the engine took it down.
WITH gone AS (
    SELECT id, attempt, worker_id, is_started FROM job
    WHERE state = 'running' AND worker_id = ANY(%(worker_ids)s) ORDER BY id FOR UPDATE
), back AS (
    UPDATE job SET lease = NULL, worker_id = NULL, expires_at = NULL, is_started = false, changed_at = now(),
        deaths = job.deaths + CASE WHEN gone.is_started THEN %(deaths)s ELSE 0 END,
        state = CASE WHEN gone.is_started AND job.deaths + %(deaths)s >= %(most_deaths)s THEN 'dead' ELSE 'waiting' END,
        reason = CASE WHEN gone.is_started AND job.deaths + %(deaths)s >= %(most_deaths)s THEN 'killed_worker' ELSE job.reason END
    FROM gone WHERE job.id = gone.id
    RETURNING job.id, job.state, job.stage, job.video_id
), noted AS (
    INSERT INTO job_event (job_id, attempt, event, worker_id)
    SELECT id, attempt, CASE WHEN is_started AND %(deaths)s > 0 THEN 'died' ELSE 'released' END, worker_id FROM gone
), marked AS (
    UPDATE worker SET gone_at = now() WHERE id = ANY(%(worker_ids)s) AND gone_at IS NULL
)
SELECT id, state, stage, video_id FROM back

-- name: wake
WITH awake AS (
    SELECT id FROM job WHERE state = 'waiting' AND not_before <= now() FOR UPDATE SKIP LOCKED
)
UPDATE job SET not_before = NULL FROM awake WHERE job.id = awake.id

-- name: register_worker
INSERT INTO worker (id, pool, host, pid, pid_started)
VALUES (%(id)s, %(pool)s, %(host)s, %(pid)s, %(pid_started)s) ON CONFLICT DO NOTHING

-- name: living_workers
SELECT id, pid, pid_started FROM worker WHERE host = %(host)s AND gone_at IS NULL

-- name: worker_left
UPDATE worker SET gone_at = now() WHERE id = %(id)s

-- name: backlog
-- What pools are sized by. Waiting work is counted to a thousand: more changes no decision.
SELECT stage, runtime_key,
    count(*) FILTER (WHERE state = 'waiting')::int AS waiting,
    count(*) FILTER (WHERE state = 'running')::int AS running
FROM (
    SELECT stage, runtime_key, state FROM job WHERE state = 'running'
    UNION ALL
    (SELECT stage, runtime_key, state FROM job WHERE state = 'waiting' AND not_before IS NULL AND site IS NULL LIMIT 5000)
    UNION ALL
    (SELECT stage, runtime_key, job.state FROM job JOIN site ON site.name = job.site AND site.state <> 'shut'
     WHERE job.state = 'waiting' AND job.not_before IS NULL LIMIT 5000)
) AS work
GROUP BY 1, 2
