-- Projects: registration, followers, the supervisor's lease, datasets.

-- name: find
SELECT * FROM project WHERE name = %(name)s

-- name: lock_videos
-- In one order and before the project's turn, as every finish does.
SELECT FROM video WHERE id IN (SELECT video_id FROM project_video WHERE project_id = %(project_id)s)
ORDER BY id FOR NO KEY UPDATE

-- name: insert
WITH made AS (
    INSERT INTO project (name, config, config_hash, plan, video_limit)
    VALUES (%(name)s, %(config)s, %(config_hash)s, %(plan)s, %(video_limit)s) ON CONFLICT (name) DO NOTHING RETURNING id
)
INSERT INTO admission (project_id) SELECT id FROM made

-- name: update
UPDATE project SET config = %(config)s, config_hash = %(config_hash)s, plan = %(plan)s, video_limit = %(video_limit)s
WHERE id = %(project_id)s

-- name: remember_config
INSERT INTO project_config (project_id, hash, config) VALUES (%(project_id)s, %(config_hash)s, %(config)s) ON CONFLICT DO NOTHING

-- name: add_source
-- Behind everything that is there, also behind what was moved to the end.
INSERT INTO source (project_id, ordinal, kind, locator, site, moved)
SELECT a.project_id, (SELECT coalesce(max(ordinal) + 1, 0) FROM source s WHERE s.project_id = a.project_id),
    %(kind)s, %(locator)s, %(site)s, a.moves
FROM admission a WHERE a.project_id = %(project_id)s
ON CONFLICT (project_id, kind, locator) DO NOTHING RETURNING id

-- name: refresh_sources
-- What they bring now goes to the end.
WITH moved AS (UPDATE admission SET moves = moves + 1 WHERE project_id = %(project_id)s RETURNING moves)
UPDATE source SET expanded_at = NULL, moved = moved.moves FROM moved
WHERE project_id = %(project_id)s AND expanded_at IS NOT NULL RETURNING id

-- name: sources
SELECT id, ordinal, kind, locator, site, expanded_at, is_held FROM source WHERE project_id = %(project_id)s ORDER BY ordinal

-- name: unserved
-- Videos whose chosen file is not what the project asks for now.
SELECT pv.video_id FROM project_video pv JOIN "fetch" f ON f.id = pv.fetch_id
WHERE pv.project_id = %(project_id)s AND f.key NOT IN (%(key)s, 'local')
  AND NOT coalesce(f.fetched_at IS NOT NULL AND f.max_height >= %(max_height)s, false)
ORDER BY pv.video_id

-- name: forget_fetches
UPDATE project_video SET fetch_id = NULL, is_held = false WHERE project_id = %(project_id)s AND video_id = ANY(%(video_ids)s)

-- name: cut_videos
SELECT video_id FROM project_video WHERE project_id = %(project_id)s AND is_cut ORDER BY video_id

-- name: ask_known_again
-- Other pictures are known now: that the old ones could not be embedded says nothing of them.
UPDATE job SET state = 'superseded', changed_at = now()
WHERE project_id = %(project_id)s AND stage = 'embed' AND segment_id IS NULL AND state = 'dead'

-- name: names
SELECT name FROM project ORDER BY name

-- name: by_id
SELECT * FROM project WHERE id = %(project_id)s

-- name: active
-- Projects that some living run follows.
SELECT DISTINCT project_id FROM follower WHERE renewed_at > now() - make_interval(secs => %(lease_s)s) ORDER BY 1

-- name: plans
SELECT id, name, plan FROM project WHERE NOT is_paused

-- name: set_paused
UPDATE project SET is_paused = %(is_paused)s WHERE id = %(project_id)s AND is_paused <> %(is_paused)s RETURNING id

-- name: rest
-- What no other project wants; what is running ends, and rests (its trigger) should it come back.
UPDATE job SET not_before = 'infinity' FROM waiting_job AS own
WHERE own.project_id = %(project_id)s AND job.id = own.id AND job.state = 'waiting' AND job.not_before IS DISTINCT FROM 'infinity' AND rests(job)

-- name: rouse
-- What rested, shared work too: the project is not paused any more, so its trigger lets it go.
UPDATE job SET not_before = NULL FROM waiting_job AS own
WHERE own.project_id = %(project_id)s AND job.id = own.id AND job.state = 'waiting' AND job.not_before = 'infinity'

-- name: delete
DELETE FROM project WHERE id = %(project_id)s

-- name: follow
INSERT INTO follower (id, project_id, config_hash, host, pid, pid_started)
VALUES (%(id)s, %(project_id)s, %(config_hash)s, %(host)s, %(pid)s, %(pid_started)s)
ON CONFLICT (id) DO UPDATE SET renewed_at = now(), project_id = excluded.project_id, config_hash = excluded.config_hash

-- name: unfollow
DELETE FROM follower WHERE id = %(id)s

-- name: followers
SELECT id, project_id, config_hash, host, pid, pid_started, renewed_at > now() - make_interval(secs => %(lease_s)s) AS is_renewed
FROM follower WHERE %(project_id)s::int IS NULL OR project_id = %(project_id)s

-- name: supervisor
SELECT holder, epoch, host, pid, pid_started, dashboard, scaling, expires_at > now() AS is_living FROM supervisor

-- name: supervise
-- Take the lease when it is free, expired, or its holder is proven dead; keep it when it is ours.
UPDATE supervisor SET holder = %(holder)s, host = %(host)s, pid = %(pid)s, pid_started = %(pid_started)s,
    epoch = CASE WHEN holder = %(holder)s THEN epoch ELSE epoch + 1 END,
    dashboard = CASE WHEN holder = %(holder)s THEN coalesce(%(dashboard)s, dashboard) ELSE %(dashboard)s END,
    scaling = CASE WHEN holder = %(holder)s THEN scaling END,
    expires_at = now() + make_interval(secs => %(lease_s)s)
WHERE holder IS NULL OR holder = %(holder)s OR expires_at < now() OR holder = %(dead)s
RETURNING epoch

-- name: resign
UPDATE supervisor SET holder = NULL, expires_at = '-infinity', dashboard = NULL, scaling = NULL WHERE holder = %(holder)s

-- name: bounds
SELECT stage, least, most FROM pool_bound ORDER BY stage

-- name: set_bound
INSERT INTO pool_bound (stage, least, most) VALUES (%(stage)s, %(least)s, %(most)s)
ON CONFLICT (stage) DO UPDATE SET least = excluded.least, most = excluded.most

-- name: drop_bound
DELETE FROM pool_bound WHERE stage = %(stage)s

-- name: set_scaling
UPDATE supervisor SET scaling = %(scaling)s WHERE holder = %(holder)s

-- name: export_rows
-- One row per kept frame, ordered by video and time, with its video, its place and its numbers.
SELECT ps.video_id, pf.pts_ms, s.shard, f.shard_offset, f.size_bytes, f.width, f.height, f.sharpness, f.brightness,
    v.url, v.site, v.title, v.uploader, v.uploader_id, v.channel, v.license, v.upload_date, v.duration_s, v.tags, v.extra,
    pv.split, sc.positive, sc.positive_prompt, sc.negative, sc.negative_prompt, sc.junk, sc.junk_prompt, pf.segment_id,
    h.video_id IS NOT NULL AS is_human,
    h.video_id IS NOT NULL AND NOT EXISTS (SELECT FROM human_box b WHERE b.project_id = h.project_id AND b.video_id = h.video_id
        AND b.pts_ms = h.pts_ms) AS is_empty
FROM project p
JOIN project_segment ps ON ps.project_id = p.id
JOIN project_frame pf ON pf.project_id = p.id AND pf.segment_id = ps.segment_id AND pf.is_kept AND pf.reason IS NULL
JOIN segment s ON s.id = ps.segment_id
JOIN frame f ON f.segment_id = pf.segment_id AND f.pts_ms = pf.pts_ms
JOIN project_video pv ON pv.project_id = p.id AND pv.video_id = ps.video_id
JOIN video v ON v.id = ps.video_id
LEFT JOIN frame_score sc ON sc.project_id = p.id AND sc.segment_id = pf.segment_id AND sc.pts_ms = pf.pts_ms
    AND sc.key = p.plan #>> '{filter,key}'
LEFT JOIN human_label h ON h.project_id = p.id AND h.video_id = ps.video_id AND h.pts_ms = pf.pts_ms
WHERE p.id = %(project_id)s
  AND (NOT p.plan ? 'detect' OR h.video_id IS NOT NULL OR EXISTS (SELECT FROM detection_run r WHERE r.segment_id = pf.segment_id AND r.pts_ms = pf.pts_ms
       AND r.detector = p.plan #>> '{detect,key}'))
ORDER BY ps.video_id, pf.pts_ms

-- name: export_boxes
SELECT segment_id, pts_ms, label, prompt, score, x1, y1, x2, y2, agreement, model, is_human FROM project_box
WHERE project_id = %(project_id)s ORDER BY segment_id, pts_ms, ordinal

-- name: set_split
UPDATE project_video pv SET split = drawn.split FROM unnest(%(video_ids)s::text[], %(splits)s::text[]) AS drawn (video_id, split)
WHERE pv.project_id = %(project_id)s AND pv.video_id = drawn.video_id AND pv.split IS NULL

-- name: splits
SELECT video_id, split FROM project_video WHERE project_id = %(project_id)s AND split IS NOT NULL

-- name: set_version
UPDATE project SET version = %(version)s, content_hash = %(content_hash)s WHERE id = %(project_id)s
