-- Sites: one pace for the whole cluster, and a circuit that is judged before any video is.

-- name: ensure
INSERT INTO site (name, sleep_interval, max_sleep_interval, sleep_requests, max_downloads, trial_interval)
VALUES (%(name)s, %(sleep_interval)s, %(max_sleep_interval)s, %(sleep_requests)s, %(max_downloads)s, %(trial_interval)s)
ON CONFLICT (name) DO UPDATE SET sleep_interval = excluded.sleep_interval,
    max_sleep_interval = excluded.max_sleep_interval, sleep_requests = excluded.sleep_requests,
    max_downloads = excluded.max_downloads, trial_interval = excluded.trial_interval

-- name: names
SELECT name FROM site ORDER BY name

-- name: take_download_token
-- Reserves the next slot, however far away, and says how long to wait for it.
WITH before AS (
    SELECT name, greatest(next_download_at, now()) AS slot FROM site WHERE name = %(name)s FOR UPDATE
)
UPDATE site SET
    next_download_at = before.slot + make_interval(secs =>
        slowdown * (sleep_interval + random() * greatest(max_sleep_interval - sleep_interval, 0))),
    downloads_today = CASE WHEN day = current_date THEN downloads_today ELSE 0 END + 1, day = current_date
FROM before WHERE site.name = before.name
RETURNING extract(epoch FROM before.slot - now())::float AS wait_s

-- name: succeeded
UPDATE site SET streak = 0, streak_reason = NULL, last_success_at = now(), state = 'open',
    reason = CASE WHEN state = 'open' THEN reason END, detail = CASE WHEN state = 'open' THEN detail END,
    since = CASE WHEN state = 'open' THEN since END, next_try = NULL
FROM (SELECT name, state AS was FROM site WHERE name = %(name)s FOR UPDATE) AS before
WHERE site.name = before.name
RETURNING before.was

-- name: suspect
UPDATE site SET streak = CASE WHEN streak_reason = %(reason)s THEN streak + 1 ELSE 1 END, streak_reason = %(reason)s
WHERE name = %(name)s
RETURNING streak, state

-- name: answers_others
-- Has the site served somebody since it last refused this job?
SELECT FROM site JOIN job_event e ON e.job_id = %(job_id)s AND e.event = 'retry' AND e.at < site.last_success_at
WHERE site.name = %(name)s LIMIT 1

-- name: shut
UPDATE site SET state = 'shut', reason = %(reason)s, detail = %(detail)s,
    since = CASE WHEN state = 'open' THEN now() ELSE since END, streak = 0, streak_reason = NULL,
    slowdown = CASE WHEN state = 'open' AND %(slows)s THEN least(slowdown * 2, 8) ELSE slowdown END,
    next_try = now() + make_interval(secs => least(trial_interval, %(longest_s)s::float))
WHERE name = %(name)s

-- name: block_jobs
UPDATE job SET state = 'blocked', not_before = NULL, reason = %(reason)s, changed_at = now()
WHERE site = %(name)s AND state = 'waiting'

-- name: ask_again
-- What the site called gone in the ten minutes before it broke may be its own failure.
WITH doubted AS (
    UPDATE video SET skipped = NULL, skipped_at = NULL
    WHERE site = %(name)s AND skipped IN ('gone', 'private') AND skipped_at > now() - interval '10 minutes'
    RETURNING id, skipped
), wanted AS (
    UPDATE project_video SET reason = NULL, is_held = true
    FROM doubted WHERE project_video.video_id = doubted.id AND project_video.reason IN ('gone', 'private')
)
UPDATE job SET state = 'blocked', reason = %(reason)s, changed_at = now()
FROM doubted WHERE job.video_id = doubted.id AND job.stage = 'download' AND job.state = 'done'

-- name: due_for_trial
SELECT name, reason FROM site
WHERE (state = 'shut' AND next_try <= now())
   OR (state = 'trial' AND NOT EXISTS (SELECT FROM job WHERE job.site = site.name AND job.state IN ('waiting', 'running')))
FOR UPDATE SKIP LOCKED

-- name: start_trial
WITH trial AS (
    SELECT id FROM job WHERE site = %(name)s AND state = 'blocked'
    ORDER BY moved, ordinal, rank, start_ms, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE job SET state = 'waiting', not_before = NULL, changed_at = now() FROM trial WHERE job.id = trial.id
RETURNING job.id

-- name: set_trial
UPDATE site SET state = %(state)s, next_try = now() + make_interval(secs => trial_interval),
    reason = CASE WHEN %(state)s = 'open' THEN NULL ELSE reason END WHERE name = %(name)s

-- name: release_jobs
UPDATE job SET state = 'waiting', not_before = NULL, reason = NULL, detail = NULL, changed_at = now()
WHERE site = %(name)s AND state = 'blocked'

-- name: spent_for_today
SELECT name FROM site WHERE state = 'open' AND max_downloads IS NOT NULL AND day = current_date
    AND downloads_today >= max_downloads
    AND EXISTS (SELECT FROM job WHERE job.site = site.name AND job.stage = 'download' AND job.state = 'waiting')
FOR UPDATE SKIP LOCKED

-- name: rest_until_tomorrow
UPDATE site SET state = 'shut', reason = 'max_downloads', since = now(), next_try = current_date + 1 WHERE name = %(name)s

-- name: overview
SELECT name, state, reason, detail, since, next_try, sleep_interval * slowdown AS sleep_interval,
    max_sleep_interval * slowdown AS max_sleep_interval, max_downloads,
    CASE WHEN day = current_date THEN downloads_today ELSE 0 END AS today,
    (SELECT count(*) FROM job WHERE job.site = site.name AND job.state = 'blocked')::int AS blocked,
    greatest(extract(epoch FROM greatest(next_download_at, next_request_at) - now()), 0)::float AS next_slot_s
FROM site ORDER BY name
