-- Admission: what a frame is compared with, and dedup's verdict. The version is compared and set, so that of two who
-- admit at once one is turned away.

-- name: version
SELECT dedup_version FROM admission WHERE project_id = %(project_id)s

-- name: known_hashes
SELECT phash FROM known_picture WHERE digest = %(digest)s ORDER BY ordinal

-- name: known_embedding
SELECT path FROM known_embedding WHERE digest = %(digest)s AND model = %(model)s

-- name: rejected_hashes
-- Pictures a person rejected, also those that no present segment has: what looks like them is not wanted either.
SELECT own.segment_id, r.pts_ms, r.phash FROM rejection r
LEFT JOIN LATERAL (
    SELECT f.segment_id FROM project_segment ps JOIN frame f ON f.segment_id = ps.segment_id AND f.pts_ms = r.pts_ms
    WHERE ps.project_id = r.project_id AND ps.video_id = r.video_id ORDER BY 1 LIMIT 1) AS own ON true
WHERE r.project_id = %(project_id)s AND r.phash IS NOT NULL
ORDER BY r.video_id, r.pts_ms

-- name: human_hashes
-- Passed frames with labels of a person, in data order: they are admitted before all others, but for those held up.
SELECT pf.segment_id, pf.pts_ms, fr.phash FROM human_label h
JOIN project_segment ps ON ps.project_id = h.project_id AND ps.video_id = h.video_id
JOIN project_frame pf ON pf.project_id = h.project_id AND pf.segment_id = ps.segment_id AND pf.pts_ms = h.pts_ms
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE h.project_id = %(project_id)s AND pf.reason IS NULL AND NOT ps.is_held
ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms, pf.pts_ms

-- name: kept_hashes
-- All other kept frames in data order.
SELECT pf.segment_id, pf.pts_ms, fr.phash FROM project_frame pf
JOIN project_segment ps ON ps.project_id = pf.project_id AND ps.segment_id = pf.segment_id
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE pf.project_id = %(project_id)s AND pf.is_kept AND pf.reason IS NULL
  AND NOT EXISTS (SELECT FROM human_label h WHERE h.project_id = pf.project_id AND h.video_id = ps.video_id AND h.pts_ms = pf.pts_ms)
ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms, pf.pts_ms

-- name: passed_hashes
SELECT pf.segment_id, pf.pts_ms, fr.phash FROM project_frame pf
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE pf.project_id = %(project_id)s AND pf.segment_id = %(segment_id)s AND pf.reason IS NULL ORDER BY pf.pts_ms

-- name: raise_version
UPDATE admission SET dedup_version = dedup_version + 1
WHERE project_id = %(project_id)s AND dedup_version = %(version)s RETURNING dedup_version

-- name: is_admissible
-- Waits for dedup, and the frames that were compared are exactly those that pass now.
SELECT FROM project_segment ps WHERE ps.project_id = %(project_id)s AND ps.segment_id = %(segment_id)s
  AND ps.filtered IS NOT NULL AND NOT ps.is_decided AND NOT ps.is_held
  AND (SELECT coalesce(array_agg(pf.pts_ms ORDER BY pf.pts_ms), '{}') FROM project_frame pf
       WHERE pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id AND pf.reason IS NULL) = %(pts_ms)s::bigint[]

-- name: is_decided
SELECT FROM project_segment WHERE project_id = %(project_id)s AND segment_id = %(segment_id)s AND is_decided

-- name: admit
UPDATE project_frame pf SET is_kept = a.reason IS NULL, dedup_reason = a.reason,
    representative_segment_id = a.representative_segment_id, representative_pts_ms = a.representative_pts_ms
FROM unnest(%(pts_ms)s::bigint[], %(reasons)s::text[], %(segments)s::bigint[], %(representatives)s::bigint[])
    AS a (pts_ms, reason, representative_segment_id, representative_pts_ms)
WHERE pf.project_id = %(project_id)s AND pf.segment_id = %(segment_id)s AND pf.pts_ms = a.pts_ms

-- name: set_decided
UPDATE project_segment SET is_decided = true WHERE project_id = %(project_id)s AND segment_id = %(segment_id)s

-- name: embeddings
-- Parts of all embeddings of these segments under a model, the oldest first: of two that hold a frame it counts.
SELECT segment_id, pts_ms, path FROM embedding WHERE segment_id = ANY(%(segment_ids)s) AND model = %(model)s ORDER BY id
