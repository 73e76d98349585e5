-- What a name means, and all that is known of it: `show`, and whoever takes names from people.

-- name: by_id
SELECT id FROM video WHERE id = ANY(%(ids)s) ORDER BY id

-- name: by_native
SELECT id FROM video WHERE substr(id, strpos(id, ':') + 1) = %(native)s ORDER BY id LIMIT 20

-- name: by_digest
-- An id that could not be a file name is in its images' names by its hash (export.names).
SELECT id FROM video WHERE encode(sha256(convert_to(id, 'UTF8')), 'hex') LIKE %(digest)s || '%%' ORDER BY id LIMIT 20

-- name: by_url
SELECT id FROM video WHERE url = ANY(%(urls)s) OR split_part(url, '#', 1) = ANY(%(urls)s) ORDER BY id LIMIT 20

-- name: by_base_name
SELECT id FROM video WHERE site IS NULL AND right(url, length(%(base_name)s) + 1) = '/' || %(base_name)s ORDER BY id LIMIT 20

-- name: alike
-- Ids that begin or end as a name does: what a slip of the finger may have meant.
SELECT id FROM video
WHERE left(substr(id, strpos(id, ':') + 1), 4) = left(%(native)s, 4) OR right(id, 4) = right(%(native)s, 4)
ORDER BY id LIMIT 1000

-- name: video
SELECT v.*, f.at AS forgotten_at, f.receipt FROM video v
LEFT JOIN LATERAL (SELECT at, receipt FROM forgotten f WHERE f.video_id = v.id OR is_by(v, f.uploader) ORDER BY at LIMIT 1) f ON true
WHERE v.id = %(video_id)s

-- name: found_by
SELECT p.name AS project, s.kind, s.locator, sv.rank, sv.seen_at FROM source_video sv
JOIN source s ON s.id = sv.source_id JOIN project p ON p.id = s.project_id
WHERE sv.video_id = %(video_id)s AND (%(project_id)s::int IS NULL OR p.id = %(project_id)s)
ORDER BY p.name, s.ordinal, sv.rank

-- name: files
SELECT f.path, f.max_height, f.size_bytes, f.width, f.height, f.codec, f.average_fps, f.duration_ms, f.fetched_at
FROM "fetch" f WHERE f.video_id = %(video_id)s
  AND (%(project_id)s::int IS NULL OR f.id IN (SELECT fetch_id FROM project_video WHERE project_id = %(project_id)s AND video_id = %(video_id)s))
ORDER BY f.id

-- name: projects_of_video
SELECT p.id, p.name, p.plan, pv.reason, pv.is_held, pv.split, rejected.at AS rejected_at, rejected.uploader AS rejected_uploader
FROM project_video pv JOIN project p ON p.id = pv.project_id JOIN video v ON v.id = pv.video_id
LEFT JOIN LATERAL (
    SELECT r.at, r.uploader FROM rejection r
    WHERE r.project_id = p.id AND (r.video_id = v.id AND r.pts_ms IS NULL OR is_by(v, r.uploader)) ORDER BY r.at LIMIT 1
) rejected ON true
WHERE pv.video_id = %(video_id)s AND (%(project_id)s::int IS NULL OR p.id = %(project_id)s) ORDER BY p.name

-- name: jobs_of_video
-- Shared work is any project's.
SELECT j.stage, j.state, j.reason, min(j.detail) AS detail, count(*)::int AS n, min(j.id) AS example
FROM job j WHERE j.video_id = %(video_id)s AND j.state <> 'superseded' AND (j.project_id IS NULL OR j.project_id = %(project_id)s)
GROUP BY 1, 2, 3 ORDER BY array_position(ARRAY['download', 'extract', 'filter', 'dedup', 'detect'], j.stage), 2, 3

-- name: funnel_of_video
SELECT count(*)::int AS extracted,
    count(*) FILTER (WHERE pf.pts_ms IS NOT NULL AND coalesce(pf.reason, '') <> ALL (ARRAY['too_small', 'too_dark', 'too_bright', 'flat', 'too_blurry']))::int AS good,
    count(*) FILTER (WHERE pf.pts_ms IS NOT NULL AND pf.reason IS NULL)::int AS passed,
    count(*) FILTER (WHERE pf.is_kept AND pf.reason IS NULL)::int AS unique_frames,
    count(*) FILTER (WHERE pf.is_kept AND pf.reason IS NULL AND EXISTS (SELECT FROM project_box b
        WHERE b.project_id = ps.project_id AND b.segment_id = pf.segment_id AND b.pts_ms = pf.pts_ms))::int AS with_boxes
FROM project_segment ps JOIN frame fr ON fr.segment_id = ps.segment_id
LEFT JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = fr.segment_id AND pf.pts_ms = fr.pts_ms
WHERE ps.project_id = %(project_id)s AND ps.video_id = %(video_id)s

-- name: drops_of_video
SELECT coalesce(pf.reason, pf.dedup_reason, 'duplicate') AS reason, count(*)::int AS n
FROM project_segment ps JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id
WHERE ps.project_id = %(project_id)s AND ps.video_id = %(video_id)s
  AND (pf.reason IS NOT NULL AND pf.reason <> 'unscored' OR NOT pf.is_kept)
GROUP BY 1 ORDER BY 2 DESC, 1

-- name: times
-- Sampled times within [from, to], and the nearest on either side.
WITH sampled AS (
    SELECT DISTINCT fr.pts_ms FROM "fetch" f JOIN segment s ON s.fetch_id = f.id JOIN frame fr ON fr.segment_id = s.id
    LEFT JOIN project_segment ps ON ps.segment_id = s.id
    WHERE f.video_id = %(video_id)s AND (%(project_id)s::int IS NULL OR ps.project_id = %(project_id)s)
)
SELECT array(SELECT pts_ms FROM sampled WHERE pts_ms BETWEEN %(from_ms)s AND %(to_ms)s ORDER BY 1) AS within,
    (SELECT max(pts_ms) FROM sampled WHERE pts_ms < %(from_ms)s) AS before,
    (SELECT min(pts_ms) FROM sampled WHERE pts_ms > %(to_ms)s) AS after

-- name: picture
-- One row a project that has it; project columns are null where none has.
SELECT p.id AS project_id, p.name AS project, p.config, s.id AS segment_id, s.shard, fr.pts_ms, fr.width, fr.height,
    fr.sharpness, fr.brightness, fr.contrast, fr.phash, pf.pts_ms IS NOT NULL AS is_judged, pf.reason, pf.is_kept,
    pf.dedup_reason, rps.video_id AS like_video, pf.representative_pts_ms AS like_pts_ms,
    bit_count((fr.phash # rfr.phash)::bit(64))::int AS like_bits,
    sc.positive, sc.positive_prompt, sc.negative, sc.negative_prompt, sc.junk, sc.junk_prompt,
    p.plan ? 'detect' AS is_detected, r.detector IS NOT NULL AS has_run,
    p.plan #>> '{detect,runtime,model}' AS detector,
    hl.at AS labelled_at, rj.at AS rejected_at
FROM "fetch" f JOIN segment s ON s.fetch_id = f.id JOIN frame fr ON fr.segment_id = s.id AND fr.pts_ms = %(pts_ms)s
LEFT JOIN project_segment ps ON ps.segment_id = s.id LEFT JOIN project p ON p.id = ps.project_id
LEFT JOIN project_frame pf ON pf.project_id = p.id AND pf.segment_id = fr.segment_id AND pf.pts_ms = fr.pts_ms
LEFT JOIN project_segment rps ON rps.project_id = p.id AND rps.segment_id = pf.representative_segment_id
LEFT JOIN frame rfr ON rfr.segment_id = pf.representative_segment_id AND rfr.pts_ms = pf.representative_pts_ms
LEFT JOIN frame_score sc ON sc.project_id = p.id AND sc.segment_id = fr.segment_id AND sc.pts_ms = fr.pts_ms AND sc.key = p.plan #>> '{filter,key}'
LEFT JOIN detection_run r ON r.segment_id = fr.segment_id AND r.pts_ms = fr.pts_ms AND r.detector = p.plan #>> '{detect,key}'
LEFT JOIN human_label hl ON hl.project_id = p.id AND hl.video_id = f.video_id AND hl.pts_ms = fr.pts_ms
LEFT JOIN rejection rj ON rj.project_id = p.id AND rj.video_id = f.video_id AND rj.pts_ms = fr.pts_ms
WHERE f.video_id = %(video_id)s AND (%(project_id)s::int IS NULL OR p.id = %(project_id)s)
ORDER BY p.name NULLS LAST, s.start_ms, s.id

-- name: stands_for
-- Frames that were dropped because this one was there first, by video.
SELECT ps.video_id, count(*)::int AS n FROM project_frame pf
JOIN project_segment ps ON ps.project_id = pf.project_id AND ps.segment_id = pf.segment_id
WHERE pf.project_id = %(project_id)s AND NOT pf.is_kept
  AND pf.representative_segment_id = %(segment_id)s AND pf.representative_pts_ms = %(pts_ms)s
GROUP BY 1 ORDER BY 2 DESC, 1

-- name: boxes
SELECT b.label, b.prompt, b.score, b.x1, b.y1, b.x2, b.y2, b.agreement, b.model, b.is_human FROM project_box b
WHERE b.project_id = %(project_id)s AND b.segment_id = %(segment_id)s AND b.pts_ms = %(pts_ms)s ORDER BY b.ordinal
