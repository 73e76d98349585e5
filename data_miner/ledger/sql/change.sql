-- What a configuration would change. Asked in a transaction that is rolled back: the tables here never stay.

-- name: remember
CREATE TEMP TABLE level_was ON COMMIT DROP AS
SELECT segment_id, pts_ms, level FROM frame_level WHERE project_id = %(project_id)s

-- name: passed
SELECT pf.segment_id, pf.pts_ms, fr.phash FROM project_frame pf
JOIN project_segment ps ON ps.project_id = pf.project_id AND ps.segment_id = pf.segment_id
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
WHERE pf.project_id = %(project_id)s AND pf.reason IS NULL
ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms, pf.pts_ms

-- name: suppose
UPDATE project_frame pf SET is_kept = v.reason IS NULL, dedup_reason = v.reason
FROM unnest(%(segments)s::bigint[], %(pts_ms)s::bigint[], %(reasons)s::text[]) AS v (segment_id, pts_ms, reason)
WHERE pf.project_id = %(project_id)s AND pf.segment_id = v.segment_id AND pf.pts_ms = v.pts_ms

-- name: level_now
CREATE TEMP TABLE level_now ON COMMIT DROP AS
SELECT segment_id, pts_ms, level FROM frame_level WHERE project_id = %(project_id)s

-- name: count
SELECT
    count(*) FILTER (WHERE w.level >= 1)::int AS good_now, count(*) FILTER (WHERE n.level >= 1)::int AS good_then,
    count(*) FILTER (WHERE w.level < 1 AND n.level >= 1)::int AS good_enter, count(*) FILTER (WHERE w.level >= 1 AND n.level < 1)::int AS good_leave,
    count(*) FILTER (WHERE w.level >= 2)::int AS match_now, count(*) FILTER (WHERE n.level >= 2)::int AS match_then,
    count(*) FILTER (WHERE w.level < 2 AND n.level >= 2)::int AS match_enter, count(*) FILTER (WHERE w.level >= 2 AND n.level < 2)::int AS match_leave,
    count(*) FILTER (WHERE w.level >= 3)::int AS unique_now, count(*) FILTER (WHERE n.level >= 3)::int AS unique_then,
    count(*) FILTER (WHERE w.level < 3 AND n.level >= 3)::int AS unique_enter, count(*) FILTER (WHERE w.level >= 3 AND n.level < 3)::int AS unique_leave,
    count(*) FILTER (WHERE w.level >= 4)::int AS boxed_now, count(*) FILTER (WHERE n.level >= 4)::int AS boxed_then,
    count(*) FILTER (WHERE w.level < 4 AND n.level >= 4)::int AS boxed_enter, count(*) FILTER (WHERE w.level >= 4 AND n.level < 4)::int AS boxed_leave
FROM level_was w JOIN level_now n USING (segment_id, pts_ms)

-- name: frames
SELECT w.segment_id, w.pts_ms, w.level AS was, n.level AS becomes, sc.positive, sc.positive_prompt, sc.negative, sc.negative_prompt, f.sharpness
FROM level_was w JOIN level_now n USING (segment_id, pts_ms) JOIN frame f USING (segment_id, pts_ms)
LEFT JOIN frame_score sc ON sc.project_id = %(project_id)s AND sc.segment_id = f.segment_id AND sc.pts_ms = f.pts_ms
WHERE w.level <> n.level ORDER BY coalesce(sc.positive, f.sharpness), 1, 2 LIMIT %(most)s
