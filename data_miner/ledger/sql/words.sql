-- A person's word on a project: what is never wanted again, and what a picture shows. What follows for frames and
-- videos is derived (successors.words_changed).

-- name: reject_pictures
-- With the hash of the picture, so that what looks like it is known again.
INSERT INTO rejection (project_id, video_id, pts_ms, phash)
SELECT DISTINCT ON (f.video_id, fr.pts_ms) %(project_id)s, f.video_id, fr.pts_ms, fr.phash
FROM unnest(%(video_ids)s::text[], %(pts_ms)s::bigint[]) AS named (video_id, pts_ms)
JOIN "fetch" f ON f.video_id = named.video_id JOIN segment s ON s.fetch_id = f.id
JOIN frame fr ON fr.segment_id = s.id AND fr.pts_ms = named.pts_ms
LEFT JOIN project_segment ps ON ps.project_id = %(project_id)s AND ps.segment_id = s.id
ORDER BY f.video_id, fr.pts_ms, ps.segment_id NULLS LAST, s.id
ON CONFLICT DO NOTHING

-- name: reject_videos
INSERT INTO rejection (project_id, video_id) SELECT %(project_id)s, unnest(%(video_ids)s::text[]) ON CONFLICT DO NOTHING

-- name: reject_uploaders
INSERT INTO rejection (project_id, uploader) SELECT %(project_id)s, unnest(%(uploaders)s::text[]) ON CONFLICT DO NOTHING

-- name: take_back_pictures
DELETE FROM rejection r USING unnest(%(video_ids)s::text[], %(pts_ms)s::bigint[]) AS named (video_id, pts_ms)
WHERE r.project_id = %(project_id)s AND r.video_id = named.video_id AND r.pts_ms = named.pts_ms

-- name: take_back_videos
DELETE FROM rejection WHERE project_id = %(project_id)s AND video_id = ANY(%(video_ids)s) AND pts_ms IS NULL

-- name: take_back_uploaders
DELETE FROM rejection WHERE project_id = %(project_id)s AND uploader = ANY(%(uploaders)s)

-- name: pictures_there
-- Those of the named pictures that were ever sampled, or that were rejected.
SELECT named.video_id, named.pts_ms FROM unnest(%(video_ids)s::text[], %(pts_ms)s::bigint[]) AS named (video_id, pts_ms)
WHERE EXISTS (SELECT FROM "fetch" f JOIN segment s ON s.fetch_id = f.id JOIN frame fr ON fr.segment_id = s.id
              WHERE f.video_id = named.video_id AND fr.pts_ms = named.pts_ms)
   OR EXISTS (SELECT FROM rejection r WHERE r.video_id = named.video_id AND r.pts_ms = named.pts_ms AND r.project_id = %(project_id)s)

-- name: uploaders_called
-- Who is called so: by name, handle or channel id. Emptied rows are called nothing.
SELECT uploader, uploader_id, channel, coalesce(extra ->> 'channel_id', '') AS channel_id, count(*)::int AS videos
FROM video v WHERE is_by(v, %(who)s) AND %(who)s <> '' GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 4, 2, 1

-- name: uploader_names
SELECT DISTINCT uploader AS name FROM video WHERE uploader <> '' ORDER BY 1 LIMIT 10000

-- name: videos_of_project
SELECT video_id FROM project_video WHERE project_id = %(project_id)s ORDER BY video_id

-- name: frames_there
-- Pictures of the project's present segments, each once: of two segments that own one the first counts, as in a dataset.
SELECT DISTINCT ON (ps.video_id, fr.pts_ms) ps.video_id, fr.pts_ms, ps.segment_id, fr.width, fr.height,
    h.video_id IS NOT NULL AS is_human, r.video_id IS NOT NULL AS is_rejected
FROM unnest(%(video_ids)s::text[], %(pts_ms)s::bigint[]) AS named (video_id, pts_ms)
JOIN project_segment ps ON ps.project_id = %(project_id)s AND ps.video_id = named.video_id
JOIN frame fr ON fr.segment_id = ps.segment_id AND fr.pts_ms = named.pts_ms
LEFT JOIN human_label h ON h.project_id = ps.project_id AND h.video_id = ps.video_id AND h.pts_ms = fr.pts_ms
LEFT JOIN rejection r ON r.project_id = ps.project_id AND r.video_id = ps.video_id AND r.pts_ms = fr.pts_ms
ORDER BY ps.video_id, fr.pts_ms, ps.start_ms

-- name: machine_boxes
-- What the detector says of pictures under the project's present rules, kept or not: after a person's word dedup has
-- yet to speak again.
SELECT m.segment_id, m.pts_ms, m.label, m.x1, m.y1, m.x2, m.y2
FROM unnest(%(segment_ids)s::bigint[], %(pts_ms)s::bigint[]) AS named (segment_id, pts_ms)
JOIN machine_box m ON m.project_id = %(project_id)s AND m.segment_id = named.segment_id AND m.pts_ms = named.pts_ms
ORDER BY m.segment_id, m.pts_ms, m.ordinal

-- name: human_boxes
SELECT b.video_id, b.pts_ms, b.label, b.x1, b.y1, b.x2, b.y2
FROM unnest(%(video_ids)s::text[], %(pts_ms)s::bigint[]) AS named (video_id, pts_ms)
JOIN human_box b ON b.project_id = %(project_id)s AND b.video_id = named.video_id AND b.pts_ms = named.pts_ms
ORDER BY b.video_id, b.pts_ms, b.ordinal

-- name: clear_labels
DELETE FROM human_label h USING unnest(%(video_ids)s::text[], %(pts_ms)s::bigint[]) AS named (video_id, pts_ms)
WHERE h.project_id = %(project_id)s AND h.video_id = named.video_id AND h.pts_ms = named.pts_ms

-- name: add_labels
INSERT INTO human_label (project_id, video_id, pts_ms)
SELECT %(project_id)s, video_id, pts_ms FROM unnest(%(video_ids)s::text[], %(pts_ms)s::bigint[]) AS named (video_id, pts_ms)

-- name: copy_boxes
COPY human_box (project_id, video_id, pts_ms, ordinal, label, x1, y1, x2, y2) FROM STDIN

-- name: rejecting
-- Projects that do not want a video under any of its ids, or nothing by whoever it turned out to be.
SELECT DISTINCT project_id FROM rejection
WHERE video_id = ANY(%(video_ids)s) AND pts_ms IS NULL OR uploader = ANY(%(who)s) ORDER BY 1
