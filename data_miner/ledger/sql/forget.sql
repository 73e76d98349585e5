-- A takedown: a video or an uploader withdrawn from every project and for ever. Videos and jobs stay as bare ids: the
-- first say what is refused, the second prove what was made of it (orphans.sql).

-- name: videos_by
SELECT id FROM video v WHERE EXISTS (SELECT FROM unnest(%(who)s::text[]) AS one WHERE is_by(v, one)) ORDER BY id

-- name: known
SELECT id FROM video WHERE id = ANY(%(video_ids)s) ORDER BY id

-- name: earlier
-- Videos of earlier orders that have a word in common with this one: what a killed command may have left undone.
SELECT receipt, array_agg(video_id ORDER BY video_id) FILTER (WHERE video_id IS NOT NULL) AS video_ids,
    array_agg(uploader ORDER BY uploader) FILTER (WHERE uploader IS NOT NULL) AS uploaders
FROM forgotten WHERE receipt IN (SELECT receipt FROM forgotten WHERE video_id = ANY(%(video_ids)s) OR uploader = ANY(%(who)s))
GROUP BY receipt ORDER BY receipt

-- name: projects
-- That have one of the videos, or in which a person spoke on one.
SELECT id, name FROM project WHERE id IN (
    SELECT project_id FROM project_video WHERE video_id = ANY(%(video_ids)s)
    UNION SELECT project_id FROM rejection WHERE video_id = ANY(%(video_ids)s)
    UNION SELECT project_id FROM human_label WHERE video_id = ANY(%(video_ids)s)) ORDER BY id

-- name: files
SELECT f.path AS key, f.sha256, f.size_bytes FROM "fetch" f WHERE f.video_id = ANY(%(video_ids)s) AND f.path IS NOT NULL
UNION ALL
SELECT s.shard, s.shard_sha256, s.shard_bytes FROM segment s JOIN "fetch" f ON f.id = s.fetch_id
WHERE f.video_id = ANY(%(video_ids)s) AND s.shard IS NOT NULL
UNION ALL
SELECT e.path, NULL, NULL FROM embedding e JOIN segment s ON s.id = e.segment_id JOIN "fetch" f ON f.id = s.fetch_id
WHERE f.video_id = ANY(%(video_ids)s)
ORDER BY 1

-- name: counts
WITH theirs AS (SELECT s.id, s.shard FROM segment s JOIN "fetch" f ON f.id = s.fetch_id WHERE f.video_id = ANY(%(video_ids)s))
SELECT (SELECT count(*) FROM theirs WHERE shard IS NOT NULL)::int AS segments,
    (SELECT count(*) FROM frame WHERE segment_id IN (SELECT id FROM theirs))::int AS frames,
    (SELECT count(*) FROM frame_score WHERE segment_id IN (SELECT id FROM theirs))::int AS scores,
    (SELECT count(*) FROM embedding WHERE segment_id IN (SELECT id FROM theirs))::int AS embeddings,
    (SELECT count(*) FROM detection WHERE segment_id IN (SELECT id FROM theirs))::int AS detections,
    (SELECT count(*) FROM job WHERE video_id = ANY(%(video_ids)s) AND state = 'running')::int AS under_way,
    (SELECT count(*) FROM human_label WHERE video_id = ANY(%(video_ids)s))::int AS human_labels,
    (SELECT count(*) FROM rejection WHERE video_id = ANY(%(video_ids)s) OR uploader = ANY(%(who)s))::int AS rejections

-- name: jobs
SELECT id FROM job WHERE video_id = ANY(%(video_ids)s) ORDER BY id

-- name: mark
SAVEPOINT before_locks

-- name: go_back
ROLLBACK TO SAVEPOINT before_locks

-- name: lock_videos
-- Theirs, and all of the projects that are changed: registration's order.
SELECT FROM video WHERE id = ANY(%(video_ids)s)
    OR id IN (SELECT video_id FROM project_video WHERE project_id = ANY(%(project_ids)s))
ORDER BY id FOR NO KEY UPDATE

-- name: end_jobs
-- Also those under way: their lease is gone, so nothing of theirs can be committed.
UPDATE job SET state = 'superseded', lease = NULL, worker_id = NULL, expires_at = NULL, not_before = NULL,
    is_started = false, reason = NULL, detail = NULL, changed_at = now()
WHERE id IN (SELECT id FROM job WHERE video_id = ANY(%(video_ids)s) ORDER BY id FOR UPDATE)

-- name: drop_events
DELETE FROM job_event WHERE job_id IN (SELECT id FROM job WHERE video_id = ANY(%(video_ids)s))

-- name: drop_rejections
DELETE FROM rejection WHERE video_id = ANY(%(video_ids)s) OR uploader = ANY(%(who)s)

-- name: drop_labels
DELETE FROM human_label WHERE video_id = ANY(%(video_ids)s)

-- name: drop_videos
-- Out of each project, under the word that derivation comes to as well.
UPDATE project_video SET reason = 'forgotten', judged = NULL, fetch_id = NULL, is_held = false, is_cut = false
WHERE video_id = ANY(%(video_ids)s)

-- name: drop_embeddings
DELETE FROM embedding WHERE segment_id IN (
    SELECT s.id FROM segment s JOIN "fetch" f ON f.id = s.fetch_id WHERE f.video_id = ANY(%(video_ids)s))

-- name: drop_frames
-- Scores, verdicts, boxes go with their frames.
DELETE FROM frame WHERE segment_id IN (
    SELECT s.id FROM segment s JOIN "fetch" f ON f.id = s.fetch_id WHERE f.video_id = ANY(%(video_ids)s))

-- name: empty_segments
UPDATE segment SET shard = NULL, shard_sha256 = NULL, shard_bytes = NULL
FROM "fetch" f WHERE f.id = segment.fetch_id AND f.video_id = ANY(%(video_ids)s)

-- name: empty_fetches
UPDATE "fetch" SET path = NULL, sha256 = NULL, size_bytes = NULL, width = NULL, height = NULL, codec = NULL,
    average_fps = NULL, first_pts_ms = NULL, duration_ms = NULL, fetched_at = NULL
WHERE video_id = ANY(%(video_ids)s)

-- name: empty_videos
-- As if their page had been read: no listing writes a title into them again.
UPDATE video SET url = '', title = '', uploader = '', uploader_id = '', channel = '', license = '', upload_date = '',
    duration_s = NULL, tags = '{}', extra = '{}', skipped = NULL, skipped_at = NULL, metadata_at = now()
WHERE id = ANY(%(video_ids)s)

-- name: refuse
-- For ever. What an earlier order refuses keeps that order's receipt.
INSERT INTO forgotten (video_id, uploader, receipt)
SELECT video_id, NULL, %(receipt)s FROM unnest(%(video_ids)s::text[]) AS video_id
UNION ALL SELECT NULL, uploader, %(receipt)s FROM unnest(%(who)s::text[]) AS uploader
ON CONFLICT DO NOTHING

-- name: refused
-- Under any of its ids, or by whoever it turned out to be.
SELECT FROM forgotten WHERE video_id = ANY(%(video_ids)s) OR uploader = ANY(%(who)s) LIMIT 1
