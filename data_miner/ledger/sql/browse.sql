-- Frames of a project as a person looks through them: mined ones, or what a stage dropped and how narrowly.

-- name: frames
-- First which frames, by what is cheap to know (a CASE asks for boxes only where they matter), then all about those.
-- Distances are shares of the threshold that failed.
WITH p AS MATERIALIZED (
    SELECT id, plan #>> '{filter,key}' AS filter_key, plan #> '{filter,params}' AS f,
        coalesce((plan #>> '{filter,params,is_scored}')::boolean, false) AS is_scored, plan ? 'detect' AS is_detected,
        plan #>> '{detect,key}' AS detector, plan #> '{detect,params,labels}' AS labels,
        (plan #>> '{detect,params,conf}')::real AS conf, (plan #>> '{dedup,params,hash_distance}')::int AS hash_distance
    FROM project WHERE id = %(project_id)s
), told AS (
    SELECT p.*, ps.video_id, ps.moved, ps.ordinal, ps.rank, fr.*, sc.positive, sc.positive_prompt, sc.negative, sc.negative_prompt,
        sc.junk, sc.junk_prompt, pf.representative_segment_id, pf.representative_pts_ms,
        coalesce(pf.is_kept AND pf.reason IS NULL, false) AS is_kept,
        CASE WHEN pf.pts_ms IS NULL OR pf.reason = 'unscored' THEN 'waiting' WHEN pf.reason IS NOT NULL THEN 'filter'
            WHEN pf.is_kept IS NULL THEN 'waiting' WHEN NOT pf.is_kept THEN 'dedup' ELSE 'kept' END AS stand,
        CASE WHEN pf.reason IS NOT NULL THEN pf.reason WHEN NOT pf.is_kept THEN coalesce(pf.dedup_reason, 'duplicate') END AS why,
        EXISTS (SELECT FROM human_label h WHERE h.project_id = p.id AND h.video_id = ps.video_id AND h.pts_ms = fr.pts_ms) AS is_human
    FROM p JOIN project_segment ps ON ps.project_id = p.id JOIN frame fr ON fr.segment_id = ps.segment_id
    LEFT JOIN project_frame pf ON pf.project_id = p.id AND pf.segment_id = fr.segment_id AND pf.pts_ms = fr.pts_ms
    LEFT JOIN frame_score sc ON sc.project_id = p.id AND sc.segment_id = fr.segment_id AND sc.pts_ms = fr.pts_ms AND sc.key = p.filter_key
    WHERE %(videos)s::text[] IS NULL OR ps.video_id = ANY(%(videos)s::text[])
), scored AS (
    SELECT told.*, CASE WHEN %(label)s::text IS NOT NULL OR NOT is_scored THEN best.score ELSE positive END AS score, below.score AS below
    FROM told
    LEFT JOIN LATERAL (     -- of the class that is asked for, or of any
        SELECT max(b.score) AS score FROM project_box b
        WHERE told.is_kept AND (%(label)s::text IS NOT NULL OR NOT told.is_scored AND (%(sort)s = 'score' OR %(min_score)s::real IS NOT NULL))
          AND b.project_id = told.id AND b.segment_id = told.segment_id AND b.pts_ms = told.pts_ms
          AND (%(label)s::text IS NULL OR b.label = %(label)s)
    ) best ON true
    LEFT JOIN LATERAL (     -- what no_detection missed by, to sort by it
        SELECT max(d.score) AS score FROM detection d
        WHERE told.is_kept AND %(sort)s = 'failed'
          AND d.segment_id = told.segment_id AND d.pts_ms = told.pts_ms AND d.detector = told.detector AND told.labels ? lower(d.prompt)
    ) below ON true
    WHERE CASE WHEN %(stage)s = 'extract' AND %(reason)s::text IS DISTINCT FROM 'no_detection' THEN true
            WHEN %(stage)s IN ('filter', 'dedup') THEN stand = %(stage)s
            WHEN stand <> 'kept' THEN false
            WHEN %(stage)s = 'mined' AND (NOT is_detected OR is_human) THEN true
            ELSE is_detected AND NOT is_human AND (%(stage)s = 'mined') = EXISTS (
                    SELECT FROM project_box b WHERE b.project_id = told.id AND b.segment_id = told.segment_id AND b.pts_ms = told.pts_ms)
                AND EXISTS (SELECT FROM detection_run r
                    WHERE r.segment_id = told.segment_id AND r.pts_ms = told.pts_ms AND r.detector = told.detector) END
      AND (%(reason)s::text IS NULL OR %(reason)s = 'no_detection' OR told.why = %(reason)s)
), measured AS (
    SELECT scored.*, bit_count((scored.phash # rfr.phash)::bit(64))::int AS like_bits,
        CASE WHEN %(sort)s = 'failed' THEN CASE coalesce(why, 'no_detection')
            WHEN 'too_small' THEN 1 - least(scored.width, scored.height) / nullif((f ->> 'min_side')::real, 0)
            WHEN 'too_dark' THEN 1 - scored.brightness / nullif((f #>> '{brightness,0}')::real, 0)
            WHEN 'too_bright' THEN scored.brightness / nullif((f #>> '{brightness,1}')::real, 0) - 1
            WHEN 'flat' THEN 1 - scored.contrast / nullif((f ->> 'min_contrast')::real, 0)
            WHEN 'too_blurry' THEN 1 - scored.sharpness / nullif((f ->> 'min_sharpness')::real, 0)
            WHEN 'no_match' THEN 1 - positive / nullif((f #>> '{thresholds,positive}')::real, 0)
            WHEN 'negative' THEN negative / nullif((f #>> '{thresholds,negative}')::real, 0) - 1
            WHEN 'junk' THEN junk / nullif((f #>> '{thresholds,junk}')::real, 0) - 1
            WHEN 'thin_margin' THEN CASE WHEN NOT positive - negative > (f #>> '{thresholds,margin}')::real
                THEN 1 - (positive - negative) / nullif((f #>> '{thresholds,margin}')::real, 0)
                ELSE 1 - (positive - junk) / nullif((f #>> '{thresholds,junk_margin}')::real, 0) END
            WHEN 'no_detection' THEN 1 - below / nullif(conf, 0)
            WHEN 'duplicate' THEN (hash_distance - bit_count((scored.phash # rfr.phash)::bit(64))) / 64.0 END END AS distance
    FROM scored
    LEFT JOIN frame rfr ON rfr.segment_id = scored.representative_segment_id AND rfr.pts_ms = scored.representative_pts_ms
    WHERE (%(label)s::text IS NULL OR score IS NOT NULL) AND (%(min_score)s::real IS NULL OR score >= %(min_score)s::real)
), chosen AS MATERIALIZED (
    SELECT m.*, row_number() OVER (ORDER BY
            CASE %(sort)s WHEN 'score' THEN -m.score WHEN 'sharpness' THEN -m.sharpness WHEN 'brightness' THEN -m.brightness
                WHEN 'failed' THEN m.distance END NULLS LAST,
            CASE WHEN %(sort)s = 'time' THEN m.moved END, CASE WHEN %(sort)s = 'time' THEN m.ordinal END,
            CASE WHEN %(sort)s = 'time' THEN m.rank END, m.video_id, m.pts_ms, m.segment_id) AS place
    FROM measured m ORDER BY place LIMIT %(limit)s
), boxed AS (
    SELECT c.*, box.boxes, CASE
        WHEN c.stand <> 'kept' THEN c.stand
        WHEN NOT c.is_detected OR box.boxes IS NOT NULL OR c.is_human THEN 'mined'
        WHEN EXISTS (SELECT FROM detection_run r WHERE r.segment_id = c.segment_id AND r.pts_ms = c.pts_ms AND r.detector = c.detector)
            THEN 'detect' ELSE 'waiting' END AS state
    FROM chosen c LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('label', b.label, 'score', b.score, 'xyxy', jsonb_build_array(b.x1, b.y1, b.x2, b.y2),
            'prompt', b.prompt, 'model', b.model, 'agreement', b.agreement, 'is_human', b.is_human) ORDER BY b.ordinal) AS boxes
        FROM project_box b WHERE c.is_kept AND b.project_id = c.id AND b.segment_id = c.segment_id AND b.pts_ms = c.pts_ms) box ON true
)
SELECT b.video_id, b.pts_ms, b.state, CASE b.state WHEN 'detect' THEN 'no_detection' WHEN 'waiting' THEN NULL ELSE b.why END AS reason,
    b.score, b.width, b.height, b.sharpness, b.brightness, b.contrast, b.positive, b.positive_prompt, b.negative, b.negative_prompt,
    b.junk, b.junk_prompt, rps.video_id AS like_video, b.representative_pts_ms AS like_pts_ms, b.like_bits, b.conf, (
        SELECT max(d.score) FROM detection d WHERE b.state = 'detect' AND d.segment_id = b.segment_id AND d.pts_ms = b.pts_ms
        AND d.detector = b.detector AND b.labels ? lower(d.prompt)) AS best_below, b.boxes, s.shard, b.shard_offset, b.size_bytes, v.url
FROM boxed b JOIN segment s ON s.id = b.segment_id JOIN video v ON v.id = b.video_id
LEFT JOIN project_segment rps ON rps.project_id = b.id AND rps.segment_id = b.representative_segment_id
ORDER BY b.place
