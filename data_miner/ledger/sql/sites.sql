-- Sites: one pace for the whole cluster, and a circuit that is judged before any video is.

-- name: ensure
-- Locks the site's row, but writes only what changed.
INSERT INTO site (name, sleep_interval, max_sleep_interval, sleep_requests, max_downloads, trial_interval)
VALUES (%(name)s, %(sleep_interval)s, %(max_sleep_interval)s, %(sleep_requests)s, %(max_downloads)s, %(trial_interval)s)
ON CONFLICT (name) DO UPDATE SET sleep_interval = excluded.sleep_interval,
    max_sleep_interval = excluded.max_sleep_interval, sleep_requests = excluded.sleep_requests,
    max_downloads = excluded.max_downloads, trial_interval = excluded.trial_interval
    WHERE (site.sleep_interval, site.max_sleep_interval, site.sleep_requests, site.max_downloads, site.trial_interval)
        IS DISTINCT FROM (excluded.sleep_interval, excluded.max_sleep_interval, excluded.sleep_requests,
                          excluded.max_downloads, excluded.trial_interval)

-- name: lock
SELECT name, state, trial_job FROM site WHERE name = %(name)s FOR UPDATE

-- name: take_download_token
-- Reserves the next slot, however far away, and says how long to wait for it. No row: today's share is spent.
WITH before AS (
    SELECT name, greatest(next_download_at, now()) AS slot FROM site WHERE name = %(name)s
      AND (max_downloads IS NULL OR day < current_date OR downloads_today < max_downloads) FOR UPDATE
)
UPDATE site SET
    next_download_at = before.slot + make_interval(secs =>
        slowdown * (sleep_interval + random() * greatest(max_sleep_interval - sleep_interval, 0))),
    downloads_today = CASE WHEN day = current_date THEN downloads_today ELSE 0 END + 1, day = current_date
FROM before WHERE site.name = before.name
RETURNING extract(epoch FROM before.slot - now())::float AS wait_s

-- name: served
-- A video came: whatever was refused before it was the video's own trouble, not the site's.
UPDATE site SET streak = 0, streak_reason = NULL, last_success_at = now(),
    slowdown = CASE WHEN slowed_at < now() - interval '1 day' THEN greatest(1, slowdown / 2) ELSE slowdown END,
    slowed_at = CASE WHEN slowed_at < now() - interval '1 day' THEN now() ELSE slowed_at END
WHERE name = %(name)s

-- name: open
UPDATE site SET state = 'open', reason = NULL, detail = NULL, since = NULL, next_try = NULL, trial_job = NULL,
    streak = 0, streak_reason = NULL
WHERE name = %(name)s

-- name: suspect
-- Five paces and two seconds: long enough for the neighbours of a refused video to be asked before it is asked again.
-- Where nobody answers, or nobody else waits to be asked, there is nothing to be patient for.
UPDATE site SET streak = CASE WHEN streak_reason = %(reason)s THEN streak + 1 ELSE 1 END, streak_reason = %(reason)s
WHERE name = %(name)s
RETURNING streak, state,
    2 + CASE WHEN %(reason)s <> 'network' AND EXISTS (
            SELECT FROM job WHERE job.site = site.name AND job.stage IN ('expand', 'download')
              AND job.state = 'waiting' AND job.not_before IS NULL)
        THEN 5 * slowdown * greatest(max_sleep_interval, sleep_requests) ELSE 0 END AS patience_s,
    EXISTS (SELECT FROM job_event e WHERE e.job_id = %(job_id)s AND e.event = 'retry' AND e.at < site.last_success_at)
    AS serves_others

-- name: shut
UPDATE site SET state = 'shut', reason = %(reason)s, detail = %(detail)s, trial_job = NULL,
    since = CASE WHEN state = 'open' THEN now() ELSE since END, streak = 0, streak_reason = NULL,
    slowdown = CASE WHEN state = 'open' AND %(slows)s THEN least(slowdown * 2, 8) ELSE slowdown END,
    slowed_at = CASE WHEN %(slows)s THEN now() ELSE slowed_at END,
    next_try = now() + make_interval(secs => least(trial_interval, %(longest_s)s::float))
WHERE name = %(name)s

-- name: block_jobs
UPDATE job SET state = 'blocked', not_before = NULL, reason = %(reason)s, changed_at = now()
WHERE site = %(name)s AND state = 'waiting'

-- name: any_stray
-- Given back, swept or retried while its site is shut.
SELECT FROM site JOIN job ON job.site = site.name AND job.stage IN ('expand', 'download') AND job.state = 'waiting'
    AND job.id IS DISTINCT FROM site.trial_job
WHERE site.state <> 'open' LIMIT 1

-- name: block_strays
UPDATE job SET state = 'blocked', not_before = NULL, reason = site.reason, changed_at = now()
FROM site WHERE site.state <> 'open' AND job.site = site.name AND job.state = 'waiting'
  AND job.id IS DISTINCT FROM site.trial_job

-- name: ask_again
-- What the site called gone in the ten minutes before it broke may be its own failure. A video that somebody
-- works on at this moment is left as it is: nobody waits here with a site's and every project's lock in hand.
WITH doubted AS (
    SELECT id FROM video WHERE site = %(name)s AND skipped IN ('gone', 'private')
      AND skipped_at > now() - interval '10 minutes' FOR UPDATE SKIP LOCKED
), wanted AS (
    UPDATE video SET skipped = NULL, skipped_at = NULL FROM doubted WHERE video.id = doubted.id
), undropped AS (
    UPDATE project_video pv SET reason = NULL, judged = NULL
    FROM doubted WHERE pv.video_id = doubted.id AND pv.reason IN ('gone', 'private')
)
UPDATE job SET state = 'blocked', reason = %(reason)s, changed_at = now()
FROM doubted WHERE job.video_id = doubted.id AND job.stage = 'download' AND job.state IN ('done', 'superseded')
  AND job.fetch_id IN (SELECT id FROM "fetch" WHERE fetched_at IS NULL)

-- name: due_for_trial
SELECT name, reason FROM site
WHERE (state = 'shut' AND next_try <= now())
   OR (state = 'trial' AND NOT EXISTS (SELECT FROM job WHERE job.id = site.trial_job AND job.state IN ('waiting', 'running')))
ORDER BY name FOR UPDATE SKIP LOCKED

-- name: choose_trial
-- Not the job that failed the last trial: what was tried longest ago. A paused project's is not tried.
WITH trial AS (
    SELECT id FROM job WHERE site = %(name)s AND state = 'blocked' AND NOT rests(job)
    ORDER BY changed_at, moved, ordinal, rank, start_ms, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE job SET state = 'waiting', not_before = NULL, changed_at = now() FROM trial WHERE job.id = trial.id
RETURNING job.id

-- name: start_trial
UPDATE site SET state = 'trial', trial_job = %(job_id)s,
    next_try = now() + make_interval(secs => least(trial_interval, %(longest_s)s::float)) WHERE name = %(name)s

-- name: release_jobs
UPDATE job SET state = 'waiting', not_before = NULL, reason = NULL, detail = NULL, changed_at = now()
WHERE site = %(name)s AND state = 'blocked'

-- name: spent_for_today
SELECT name FROM site WHERE state = 'open' AND max_downloads IS NOT NULL AND day = current_date
    AND downloads_today >= max_downloads
    AND EXISTS (SELECT FROM job WHERE job.site = site.name AND job.stage = 'download' AND job.state = 'waiting')
ORDER BY name FOR UPDATE SKIP LOCKED

-- name: rest_until_tomorrow
UPDATE site SET state = 'shut', reason = 'max_downloads', detail = NULL, trial_job = NULL, since = now(),
    next_try = current_date + 1 WHERE name = %(name)s

-- name: overview
SELECT name, state, reason, detail, since, next_try, sleep_interval * slowdown AS sleep_interval,
    max_sleep_interval * slowdown AS max_sleep_interval, max_downloads,
    CASE WHEN day = current_date THEN downloads_today ELSE 0 END AS today,
    (SELECT count(*) FROM job WHERE job.site = site.name AND job.state = 'blocked')::int AS blocked,
    greatest(extract(epoch FROM greatest(next_download_at, next_request_at) - now()), 0)::float AS next_slot_s
FROM site ORDER BY name
