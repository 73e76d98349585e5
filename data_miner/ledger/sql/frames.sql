-- Segments, frames, embeddings, scores, boxes: pixels and numbers, keyed by what they were made from.

-- name: segment
SELECT s.*, f.path, f.first_pts_ms, f.duration_ms, f.fetched_at, f.video_id
FROM segment s JOIN "fetch" f ON f.id = s.fetch_id WHERE s.id = %(segment_id)s

-- name: params
SELECT plan #> ARRAY[%(stage)s, 'params'] AS params, plan #>> ARRAY[%(stage)s, 'key'] AS key,
    plan #>> '{extract,key}' AS extract_key, plan #> '{extract,params}' AS extract
FROM project WHERE id = %(project_id)s

-- name: extract_params
SELECT p.plan #> '{extract,params}' AS params FROM project p JOIN project_segment ps ON ps.project_id = p.id
WHERE ps.segment_id = %(segment_id)s AND p.plan #>> '{extract,key}' = %(key)s LIMIT 1

-- name: copy_frames
COPY frame (segment_id, pts_ms, shard_offset, size_bytes, width, height, sharpness, brightness, contrast, phash) FROM STDIN

-- name: copy_scores
COPY frame_score (project_id, segment_id, pts_ms, key, positive, positive_prompt, negative, negative_prompt, junk, junk_prompt)
FROM STDIN

-- name: copy_boxes
COPY detection (segment_id, pts_ms, detector, ordinal, prompt, score, x1, y1, x2, y2, agreement, model) FROM STDIN

-- name: frame_times
SELECT pts_ms FROM frame WHERE segment_id = %(segment_id)s

-- name: move_frames
UPDATE frame f SET shard_offset = n.shard_offset, size_bytes = n.size_bytes
FROM unnest(%(pts_ms)s::bigint[], %(offsets)s::bigint[], %(sizes)s::int[]) AS n (pts_ms, shard_offset, size_bytes)
WHERE f.segment_id = %(segment_id)s AND f.pts_ms = n.pts_ms
  AND (f.shard_offset, f.size_bytes) IS DISTINCT FROM (n.shard_offset, n.size_bytes)

-- name: clear_frames
DELETE FROM frame WHERE segment_id = %(segment_id)s

-- name: clear_embeddings
DELETE FROM embedding WHERE segment_id = %(segment_id)s

-- name: extracted
UPDATE segment SET shard = %(shard)s, shard_sha256 = %(sha256)s, shard_bytes = %(size_bytes)s,
    dropped_max_frames = %(dropped_max_frames)s, is_truncated = %(is_truncated)s WHERE id = %(segment_id)s

-- name: good_frames
-- Frames that stand the quality thresholds, with their place in the shard and whether they have an embedding.
WITH p AS (SELECT plan #> '{filter,params}' AS f FROM project WHERE id = %(project_id)s)
SELECT fr.pts_ms, fr.shard_offset, fr.size_bytes FROM frame fr, p
WHERE fr.segment_id = %(segment_id)s
  AND least(fr.width, fr.height) >= (f ->> 'min_side')::int
  AND fr.brightness BETWEEN (f #>> '{brightness,0}')::real AND (f #>> '{brightness,1}')::real
  AND fr.contrast >= (f ->> 'min_contrast')::real AND fr.sharpness >= (f ->> 'min_sharpness')::real
ORDER BY fr.pts_ms

-- name: embeddings
SELECT segment_id, pts_ms, path FROM embedding WHERE segment_id = %(segment_id)s AND model = %(model)s ORDER BY id

-- name: add_embedding
INSERT INTO embedding (segment_id, model, pts_ms, path) VALUES (%(segment_id)s, %(model)s, %(pts_ms)s, %(path)s)

-- name: clear_scores
DELETE FROM frame_score WHERE project_id = %(project_id)s AND segment_id = %(segment_id)s

-- name: undetected
-- Kept frames of a segment that have no result under the detector's key.
SELECT fr.pts_ms, fr.shard_offset, fr.size_bytes, fr.width, fr.height FROM project_frame pf
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE pf.project_id = %(project_id)s AND pf.segment_id = %(segment_id)s AND pf.is_kept
  AND NOT EXISTS (SELECT FROM detection_run r WHERE r.segment_id = fr.segment_id AND r.pts_ms = fr.pts_ms AND r.detector = %(detector)s)
ORDER BY fr.pts_ms

-- name: add_detection_run
-- Two projects may detect the same frames at once: the first commit wins.
INSERT INTO detection_run (segment_id, pts_ms, detector)
SELECT %(segment_id)s, pts_ms, %(detector)s FROM unnest(%(pts_ms)s::bigint[]) AS pts_ms
ON CONFLICT DO NOTHING RETURNING pts_ms

-- name: unembedded
-- Passed and rejected frames of a segment that have no vector under a model.
SELECT fr.pts_ms AS id, fr.shard_offset, fr.size_bytes FROM project_frame pf
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE pf.project_id = %(project_id)s AND pf.segment_id = %(segment_id)s AND (pf.reason IS NULL OR pf.reason = 'rejected')
  AND NOT EXISTS (SELECT FROM embedding e WHERE e.segment_id = fr.segment_id AND e.model = %(model)s AND fr.pts_ms = ANY(e.pts_ms))
ORDER BY fr.pts_ms

-- name: runs
-- Frames of a segment that have a result under a detector's key.
SELECT pts_ms FROM detection_run WHERE segment_id = %(segment_id)s AND detector = %(detector)s

-- name: boxes
SELECT pts_ms, prompt, score, x1, y1, x2, y2 FROM detection
WHERE segment_id = %(segment_id)s AND detector = %(detector)s ORDER BY pts_ms, ordinal
