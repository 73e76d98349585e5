-- Verdicts: derived from stored numbers and the project's present thresholds. A threshold costs these statements.

-- name: version
SELECT dedup_version FROM admission WHERE project_id = %(project_id)s

-- name: judge_frames
-- The rule of the image-text score: P > positive, N < negative, P − N > margin, J < junk, P − J > junk_margin.
-- Returns the segments in which some frame passes now and did not, or the other way round, or has no score yet.
WITH p AS (
    SELECT id, plan #>> '{filter,key}' AS key, plan #> '{filter,params}' AS f,
        (plan #>> '{filter,params,is_scored}')::boolean AS is_scored FROM project WHERE id = %(project_id)s
), judged AS (
    SELECT ps.segment_id, fr.pts_ms, ps.is_decided, CASE
        WHEN least(fr.width, fr.height) < (f ->> 'min_side')::int THEN 'too_small'
        WHEN fr.brightness < (f #>> '{brightness,0}')::real THEN 'too_dark'
        WHEN fr.brightness > (f #>> '{brightness,1}')::real THEN 'too_bright'
        WHEN fr.contrast < (f ->> 'min_contrast')::real THEN 'flat'
        WHEN fr.sharpness < (f ->> 'min_sharpness')::real THEN 'too_blurry'
        WHEN NOT is_scored THEN NULL
        WHEN sc.positive IS NULL THEN 'unscored'
        WHEN NOT sc.positive > (f #>> '{thresholds,positive}')::real THEN 'no_match'
        WHEN NOT sc.negative < (f #>> '{thresholds,negative}')::real THEN 'negative'
        WHEN NOT sc.junk < (f #>> '{thresholds,junk}')::real THEN 'junk'
        WHEN NOT sc.positive - sc.negative > (f #>> '{thresholds,margin}')::real THEN 'thin_margin'
        WHEN NOT sc.positive - sc.junk > (f #>> '{thresholds,junk_margin}')::real THEN 'thin_margin'
        END AS reason
    FROM p JOIN project_segment ps ON ps.project_id = p.id JOIN frame fr ON fr.segment_id = ps.segment_id
    LEFT JOIN frame_score sc ON sc.project_id = p.id AND sc.segment_id = fr.segment_id AND sc.pts_ms = fr.pts_ms AND sc.key = p.key
    WHERE (%(segment_id)s::bigint IS NULL OR ps.segment_id = %(segment_id)s) AND ps.filtered = p.key
), before AS (
    SELECT j.*, pf.segment_id IS NOT NULL AS is_known, pf.reason AS was FROM judged j
    LEFT JOIN project_frame pf ON pf.project_id = %(project_id)s AND pf.segment_id = j.segment_id AND pf.pts_ms = j.pts_ms
), written AS (
    INSERT INTO project_frame (project_id, segment_id, pts_ms, reason)
    SELECT %(project_id)s, segment_id, pts_ms, reason FROM before WHERE NOT is_known OR was IS DISTINCT FROM reason
    ON CONFLICT (project_id, segment_id, pts_ms) DO UPDATE SET reason = excluded.reason
)
SELECT segment_id,
    bool_or(is_decided AND (NOT is_known AND reason IS NULL OR is_known AND (was IS NULL) <> (reason IS NULL))) AS is_changed,
    bool_or(reason = 'unscored') AS is_unscored
FROM before GROUP BY segment_id
HAVING bool_or(is_decided AND (NOT is_known AND reason IS NULL OR is_known AND (was IS NULL) <> (reason IS NULL)))
    OR bool_or(reason = 'unscored')

-- name: score_again
UPDATE project_segment SET filtered = NULL WHERE project_id = %(project_id)s AND segment_id = ANY(%(segment_ids)s)

-- name: set_filtered
-- Scores under a key that is not the project's any more count for nothing: the segment is filtered once more.
UPDATE project_segment SET filtered = %(key)s FROM project
WHERE project.id = project_segment.project_id AND project.plan #>> '{filter,key}' = %(key)s
  AND project_id = %(project_id)s AND segment_id = %(segment_id)s

-- name: projects_of_segment
-- With all that have its video: who finishes work on a video may take their turns next, in one order.
SELECT DISTINCT pv.project_id FROM project_segment ps JOIN project_video pv ON pv.video_id = ps.video_id
WHERE ps.segment_id = %(segment_id)s

-- name: unfilter
UPDATE project_segment SET filtered = NULL, is_decided = false WHERE segment_id = %(segment_id)s

-- name: unfilter_all
UPDATE project_segment SET filtered = NULL WHERE project_id = %(project_id)s AND filtered IS NOT NULL

-- name: forget_all_frames
DELETE FROM project_frame WHERE project_id = %(project_id)s

-- name: segments_of_videos
SELECT segment_id FROM project_segment WHERE project_id = %(project_id)s AND video_id = ANY(%(video_ids)s)

-- name: forget_frames
DELETE FROM project_frame WHERE project_id = %(project_id)s AND segment_id = ANY(%(segment_ids)s)

-- name: unlink_segments
DELETE FROM project_segment WHERE project_id = %(project_id)s AND segment_id = ANY(%(segment_ids)s)

-- name: uncut
UPDATE project_video SET is_cut = false WHERE project_id = %(project_id)s AND video_id = ANY(%(video_ids)s)

-- name: kept_hashes
-- All kept frames in data order: what an admitter compares with.
SELECT pf.segment_id, pf.pts_ms, fr.phash FROM project_frame pf
JOIN project_segment ps ON ps.project_id = pf.project_id AND ps.segment_id = pf.segment_id
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE pf.project_id = %(project_id)s AND pf.is_kept AND pf.reason IS NULL
ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms, pf.pts_ms

-- name: passed_hashes
SELECT pf.pts_ms, fr.phash FROM project_frame pf
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
UPDATE project_frame pf SET is_kept = a.representative_pts_ms IS NULL,
    representative_segment_id = a.representative_segment_id, representative_pts_ms = a.representative_pts_ms
FROM unnest(%(pts_ms)s::bigint[], %(segments)s::bigint[], %(representatives)s::bigint[])
    AS a (pts_ms, representative_segment_id, representative_pts_ms)
WHERE pf.project_id = %(project_id)s AND pf.segment_id = %(segment_id)s AND pf.pts_ms = a.pts_ms

-- name: set_decided
UPDATE project_segment SET is_decided = true WHERE project_id = %(project_id)s AND segment_id = %(segment_id)s
