-- What a configuration would change. Asked in a transaction that is rolled back: the tables here never stay.

-- name: remember
CREATE TEMP TABLE level_was ON COMMIT DROP AS
SELECT segment_id, pts_ms, level FROM frame_level WHERE project_id = %(project_id)s

-- name: passed
SELECT pf.segment_id, pf.pts_ms, fr.phash FROM project_frame pf
JOIN project_segment ps ON ps.project_id = pf.project_id AND ps.segment_id = pf.segment_id
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE pf.project_id = %(project_id)s AND pf.reason IS NULL AND NOT ps.is_held
ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms, pf.pts_ms

-- name: suppose
UPDATE project_frame pf SET is_kept = v.reason IS NULL, dedup_reason = v.reason
FROM unnest(%(segments)s::bigint[], %(pts_ms)s::bigint[], %(reasons)s::text[]) AS v (segment_id, pts_ms, reason)
WHERE pf.project_id = %(project_id)s AND pf.segment_id = v.segment_id AND pf.pts_ms = v.pts_ms

-- name: level_both
-- A frame of a video that a policy drops is not there any more: it reaches nothing.
CREATE TEMP TABLE level_both ON COMMIT DROP AS
SELECT segment_id, pts_ms, least(coalesce(w.level, 0), %(highest)s::int) AS was, least(coalesce(n.level, 0), %(highest)s::int) AS becomes
FROM level_was w FULL JOIN (SELECT segment_id, pts_ms, level FROM frame_level WHERE project_id = %(project_id)s) AS n
    USING (segment_id, pts_ms)

-- name: count
SELECT
    count(*) FILTER (WHERE was >= 1)::int AS good_now, count(*) FILTER (WHERE becomes >= 1)::int AS good_then,
    count(*) FILTER (WHERE was < 1 AND becomes >= 1)::int AS good_enter, count(*) FILTER (WHERE was >= 1 AND becomes < 1)::int AS good_leave,
    count(*) FILTER (WHERE was >= 2)::int AS match_now, count(*) FILTER (WHERE becomes >= 2)::int AS match_then,
    count(*) FILTER (WHERE was < 2 AND becomes >= 2)::int AS match_enter, count(*) FILTER (WHERE was >= 2 AND becomes < 2)::int AS match_leave,
    count(*) FILTER (WHERE was >= 3)::int AS unique_now, count(*) FILTER (WHERE becomes >= 3)::int AS unique_then,
    count(*) FILTER (WHERE was < 3 AND becomes >= 3)::int AS unique_enter, count(*) FILTER (WHERE was >= 3 AND becomes < 3)::int AS unique_leave,
    count(*) FILTER (WHERE was >= 4)::int AS boxed_now, count(*) FILTER (WHERE becomes >= 4)::int AS boxed_then,
    count(*) FILTER (WHERE was < 4 AND becomes >= 4)::int AS boxed_enter, count(*) FILTER (WHERE was >= 4 AND becomes < 4)::int AS boxed_leave
FROM level_both

-- name: frames
SELECT b.segment_id, b.pts_ms, b.was, b.becomes, sc.positive, sc.positive_prompt, sc.negative, sc.negative_prompt, f.sharpness
FROM level_both b JOIN frame f USING (segment_id, pts_ms)
LEFT JOIN frame_score sc ON sc.project_id = %(project_id)s AND sc.segment_id = f.segment_id AND sc.pts_ms = f.pts_ms
WHERE b.was <> b.becomes ORDER BY coalesce(sc.positive, f.sharpness), 1, 2 LIMIT %(most)s
