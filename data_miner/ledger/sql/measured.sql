-- What work cost so far: the numbers that estimates are made from.

-- name: rates
-- Over the newest batches of all projects; `process` is the time a worker had the job in hand.
SELECT b.stage, sum((b.seconds ->> 'process')::float)::float AS seconds, sum(b.items)::bigint AS items,
    sum(b.size_bytes)::bigint AS size_bytes, count(DISTINCT j.video_id)::int AS videos
FROM (SELECT stage, job_id, seconds, items, size_bytes FROM batch_stat ORDER BY id DESC LIMIT 2000) AS b
LEFT JOIN job j ON j.id = b.job_id
GROUP BY 1

-- name: paced
-- Downloads of a project that wait for an open site's next slot, and the mean seconds between two slots.
SELECT site.name, count(*)::int AS videos, (site.sleep_interval + site.max_sleep_interval) / 2 * site.slowdown AS pace_s
FROM project_job AS own JOIN site ON site.name = own.site
WHERE own.project_id = %(project_id)s AND own.stage = 'download' AND own.state IN ('waiting', 'running')
GROUP BY site.name

-- name: disk
SELECT
    (SELECT coalesce(sum(f.size_bytes), 0) FROM "fetch" f WHERE f.path NOT LIKE 'file:%%'
        AND f.id IN (SELECT fetch_id FROM project_video WHERE project_id = %(project_id)s))::bigint AS videos,
    (SELECT coalesce(sum(s.shard_bytes), 0) FROM segment s JOIN project_segment ps ON ps.segment_id = s.id
        WHERE ps.project_id = %(project_id)s AND s.shard IS NOT NULL)::bigint AS frames,
    (SELECT coalesce(sum(cardinality(e.pts_ms)), 0) FROM embedding e JOIN project_segment ps ON ps.segment_id = e.segment_id
        WHERE ps.project_id = %(project_id)s)::bigint AS vectors,
    pg_database_size(current_database()) AS database

-- name: any_embedding
SELECT e.path, cardinality(e.pts_ms) AS vectors FROM embedding e JOIN project_segment ps ON ps.segment_id = e.segment_id
WHERE ps.project_id = %(project_id)s AND cardinality(e.pts_ms) > 0 LIMIT 1

-- name: images
-- Kept frames that have a box, or all kept frames where no detector is asked.
SELECT count(*)::int AS n FROM project p JOIN project_frame pf ON pf.project_id = p.id AND pf.is_kept AND pf.reason IS NULL
WHERE p.id = %(project_id)s AND (NOT p.plan ? 'detect' OR EXISTS (SELECT FROM project_box b
    WHERE b.project_id = p.id AND b.segment_id = pf.segment_id AND b.pts_ms = pf.pts_ms))

-- name: sites
-- Without the slots themselves, whose -infinity no Python date can hold.
SELECT name, state, reason, since, next_try,
    CASE WHEN isfinite(greatest(next_download_at, next_request_at))
         THEN greatest(extract(epoch FROM greatest(next_download_at, next_request_at) - now()), 0) ELSE 0 END::float AS next_slot_s
FROM site WHERE name IN (
    SELECT v.site FROM project_video pv JOIN video v ON v.id = pv.video_id WHERE pv.project_id = %(project_id)s
    UNION SELECT s.site FROM source s WHERE s.project_id = %(project_id)s) ORDER BY name
