-- Verdicts: derived from stored numbers and the project's present thresholds. A threshold costs these statements.

-- name: judge_frames
-- The rule of the image-text score: P > positive, N < negative, P − N > margin, J < junk, P − J > junk_margin.
-- A person's word goes before every number: a rejected picture never passes, one with labels of a person always does.
-- Returns the segments in which some frame passes now and did not, or the other way round, or has no score yet.
WITH p AS (
    SELECT id, plan #>> '{filter,key}' AS key, plan #> '{filter,params}' AS f,
        (plan #>> '{filter,params,is_scored}')::boolean AS is_scored, plan ? 'embed' AS is_embedded
    FROM project WHERE id = %(project_id)s
), judged AS (
    SELECT ps.segment_id, fr.pts_ms, ps.is_decided, rj.video_id IS NOT NULL AND is_embedded AS is_rejected,
        hl.video_id IS NOT NULL AND rj.video_id IS NULL AS is_human, CASE
        WHEN rj.video_id IS NOT NULL THEN 'rejected'
        WHEN hl.video_id IS NOT NULL THEN NULL
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
    LEFT JOIN rejection rj ON rj.project_id = p.id AND rj.video_id = ps.video_id AND rj.pts_ms = fr.pts_ms
    LEFT JOIN human_label hl ON hl.project_id = p.id AND hl.video_id = ps.video_id AND hl.pts_ms = fr.pts_ms
    WHERE (%(segment_id)s::bigint IS NULL OR ps.segment_id = %(segment_id)s) AND ps.filtered = p.key
), before AS (
    SELECT j.*, pf.segment_id IS NOT NULL AS is_known, pf.reason AS was,
        -- A label, or a rejected picture whose vector is compared with: its hash always was.
        is_human AND (pf.segment_id IS NULL OR pf.reason IS NOT NULL)
            OR is_rejected AND pf.reason IS DISTINCT FROM 'rejected' AS is_new_word
    FROM judged j
    LEFT JOIN project_frame pf ON pf.project_id = %(project_id)s AND pf.segment_id = j.segment_id AND pf.pts_ms = j.pts_ms
), written AS (
    INSERT INTO project_frame (project_id, segment_id, pts_ms, reason)
    SELECT %(project_id)s, segment_id, pts_ms, reason FROM before WHERE NOT is_known OR was IS DISTINCT FROM reason
    ON CONFLICT (project_id, segment_id, pts_ms) DO UPDATE SET reason = excluded.reason
)
SELECT segment_id,
    bool_or(is_decided AND (NOT is_known AND reason IS NULL OR is_known AND (was IS NULL) <> (reason IS NULL))) AS is_changed,
    coalesce(bool_or(reason = 'unscored'), false) AS is_unscored,
    bool_or(is_new_word) AS is_new_word
FROM before GROUP BY segment_id
HAVING bool_or(is_decided AND (NOT is_known AND reason IS NULL OR is_known AND (was IS NULL) <> (reason IS NULL)))
    OR bool_or(reason = 'unscored') OR bool_or(is_new_word)

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
