-- What a report shows of a project: histograms and samples are made here, so that a million frames never leave the
-- database. Order and choice follow names and true times (hashtextextended is what hash partitions are kept by, so it
-- does not change), never ids: the same state gives the same report.

-- name: ranges
SELECT count(*)::int AS frames,
    min(fr.sharpness) AS sharpness_low, max(fr.sharpness) AS sharpness_high,
    min(fr.brightness) AS brightness_low, max(fr.brightness) AS brightness_high,
    min(fr.contrast) AS contrast_low, max(fr.contrast) AS contrast_high,
    min(sc.positive) AS positive_low, max(sc.positive) AS positive_high,
    min(sc.negative) AS negative_low, max(sc.negative) AS negative_high,
    min(sc.positive - sc.negative) AS margin_low, max(sc.positive - sc.negative) AS margin_high,
    min(sc.junk) AS junk_low, max(sc.junk) AS junk_high,
    min(sc.positive - sc.junk) AS junk_margin_low, max(sc.positive - sc.junk) AS junk_margin_high
FROM project_segment ps JOIN frame fr ON fr.segment_id = ps.segment_id
LEFT JOIN frame_score sc ON sc.project_id = ps.project_id AND sc.segment_id = fr.segment_id AND sc.pts_ms = fr.pts_ms
    AND sc.key = %(filter_key)s
WHERE ps.project_id = %(project_id)s

-- name: histogram
-- Frames by one score, in bins between `edges` (sign -1: both turned round, so that a bin owns its upper edge), how
-- many of them stand every other threshold, and a few of each bin. Scores of the filter are those of good frames.
-- What a person rejected or labelled stands under no threshold. About 64 of a bin are looked at for the few.
WITH numbers AS MATERIALIZED (
    SELECT fr.segment_id, fr.pts_ms, hashtextextended(ps.video_id, fr.pts_ms) AS hash,
        width_bucket((%(sign)s::real * CASE %(score)s::text
            WHEN 'sharpness' THEN fr.sharpness WHEN 'contrast' THEN fr.contrast
            WHEN 'darkest' THEN fr.brightness WHEN 'brightest' THEN fr.brightness
            WHEN 'positive' THEN sc.positive WHEN 'negative' THEN sc.negative WHEN 'margin' THEN sc.positive - sc.negative
            WHEN 'junk' THEN sc.junk WHEN 'junk_margin' THEN sc.positive - sc.junk END)::real, %(edges)s::real[]) AS bin,
        least(fr.width, fr.height) >= %(min_side)s
            AND (%(score)s::text = 'darkest' OR fr.brightness >= %(darkest)s::real)
            AND (%(score)s::text = 'brightest' OR fr.brightness <= %(brightest)s::real)
            AND (%(score)s::text = 'contrast' OR fr.contrast >= %(contrast)s::real)
            AND (%(score)s::text = 'sharpness' OR fr.sharpness >= %(sharpness)s::real) AS is_good,
        (%(score)s::text = 'positive' OR coalesce(sc.positive > %(positive)s::real, true))
            AND (%(score)s::text = 'negative' OR coalesce(sc.negative < %(negative)s::real, true))
            AND (%(score)s::text = 'margin' OR coalesce(sc.positive - sc.negative > %(margin)s::real, true))
            AND (%(score)s::text = 'junk' OR coalesce(sc.junk < %(junk)s::real, true))
            AND (%(score)s::text = 'junk_margin' OR coalesce(sc.positive - sc.junk > %(junk_margin)s::real, true)) AS is_match
    FROM project_segment ps JOIN frame fr ON fr.segment_id = ps.segment_id
    LEFT JOIN frame_score sc ON sc.project_id = ps.project_id AND sc.segment_id = fr.segment_id AND sc.pts_ms = fr.pts_ms
        AND sc.key = %(filter_key)s AND NOT %(is_quality)s::boolean
    WHERE ps.project_id = %(project_id)s
      AND NOT EXISTS (SELECT FROM rejection r WHERE r.project_id = ps.project_id AND r.video_id = ps.video_id AND r.pts_ms = fr.pts_ms)
      AND NOT EXISTS (SELECT FROM human_label h WHERE h.project_id = ps.project_id AND h.video_id = ps.video_id AND h.pts_ms = fr.pts_ms)
), own AS (
    SELECT segment_id, pts_ms, hash, bin, is_good AND (%(is_quality)s::boolean OR is_match) AS passes_else
    FROM numbers WHERE bin IS NOT NULL AND (%(is_quality)s::boolean OR is_good)
), bins AS (
    SELECT bin, count(*)::int AS frames, count(*) FILTER (WHERE passes_else)::int AS passing FROM own GROUP BY bin
), ranked AS (
    SELECT own.*, row_number() OVER (PARTITION BY bin ORDER BY hash, pts_ms, segment_id) AS nth FROM own JOIN bins USING (bin)
    WHERE (own.hash & 16777215) * bins.frames < 64::bigint * 16777216
)
SELECT bin, bins.frames, bins.passing, coalesce(array_agg(segment_id ORDER BY nth) FILTER (WHERE nth <= %(few)s), '{}') AS segment_ids,
    coalesce(array_agg(pts_ms ORDER BY nth) FILTER (WHERE nth <= %(few)s), '{}') AS pts_ms
FROM bins LEFT JOIN ranked USING (bin) GROUP BY bin, bins.frames, bins.passing ORDER BY bin

-- name: confidences
-- The same of the detector: frames by their best box that the rules on class, size and votes let through.
WITH best AS (
    SELECT pf.segment_id, pf.pts_ms, max(d.score) AS score
    FROM project p JOIN project_frame pf ON pf.project_id = p.id AND pf.is_kept AND pf.reason IS NULL
    JOIN frame f ON f.segment_id = pf.segment_id AND f.pts_ms = pf.pts_ms
    JOIN detection d ON d.segment_id = f.segment_id AND d.pts_ms = f.pts_ms AND d.detector = %(detect_key)s
    WHERE p.id = %(project_id)s AND p.plan #> '{detect,params,labels}' ? lower(d.prompt)
      AND d.agreement >= coalesce((p.plan #>> '{detect,params,min_agreement}')::int, 1)
      AND (d.x2 - d.x1) * (d.y2 - d.y1) / (f.width * f.height)
          BETWEEN (p.plan #>> '{detect,params,min_area}')::real AND (p.plan #>> '{detect,params,max_area}')::real
      AND (d.x2 - d.x1) BETWEEN (d.y2 - d.y1) * coalesce((p.plan #>> '{detect,params,min_aspect}')::real, 0)
          AND (d.y2 - d.y1) * coalesce((p.plan #>> '{detect,params,max_aspect}')::real, 'Infinity')
    GROUP BY 1, 2
), own AS (
    SELECT b.segment_id, b.pts_ms, hashtextextended(ps.video_id, b.pts_ms) AS hash,
        width_bucket(b.score, %(edges)s::real[]) AS bin
    FROM best b JOIN project_segment ps ON ps.project_id = %(project_id)s AND ps.segment_id = b.segment_id
    WHERE NOT EXISTS (SELECT FROM human_label h WHERE h.project_id = ps.project_id AND h.video_id = ps.video_id AND h.pts_ms = b.pts_ms)
), bins AS (
    SELECT bin, count(*)::int AS frames FROM own GROUP BY bin
), ranked AS (
    SELECT own.*, row_number() OVER (PARTITION BY bin ORDER BY hash, pts_ms, segment_id) AS nth FROM own
)
SELECT bin, bins.frames, bins.frames AS passing,
    array_agg(segment_id ORDER BY nth) FILTER (WHERE nth <= %(few)s) AS segment_ids,
    array_agg(pts_ms ORDER BY nth) FILTER (WHERE nth <= %(few)s) AS pts_ms
FROM bins JOIN ranked USING (bin) GROUP BY bin, bins.frames ORDER BY bin

-- name: by_hand
-- Frames that pass whatever a threshold says, and those of them that show a box: a person labelled them.
SELECT count(*)::int AS frames,
    count(*) FILTER (WHERE EXISTS (SELECT FROM project_box b WHERE b.project_id = pf.project_id AND b.is_human
        AND b.segment_id = pf.segment_id AND b.pts_ms = pf.pts_ms))::int AS with_boxes
FROM human_label h JOIN project_segment ps ON ps.project_id = h.project_id AND ps.video_id = h.video_id
JOIN project_frame pf ON pf.project_id = h.project_id AND pf.segment_id = ps.segment_id AND pf.pts_ms = h.pts_ms AND pf.reason IS NULL
WHERE h.project_id = %(project_id)s

-- name: dropped
-- Frames that the filter dropped for one reason, the least distance to the threshold that they failed first.
SELECT pf.segment_id, pf.pts_ms, (CASE pf.reason
        WHEN 'too_small' THEN %(min_side)s - least(fr.width, fr.height)
        WHEN 'too_dark' THEN %(darkest)s::real - fr.brightness
        WHEN 'too_bright' THEN fr.brightness - %(brightest)s::real
        WHEN 'flat' THEN %(contrast)s::real - fr.contrast
        WHEN 'too_blurry' THEN %(sharpness)s::real - fr.sharpness
        WHEN 'no_match' THEN %(positive)s::real - sc.positive
        WHEN 'negative' THEN sc.negative - %(negative)s::real
        WHEN 'junk' THEN sc.junk - %(junk)s::real
        WHEN 'thin_margin' THEN CASE WHEN NOT sc.positive - sc.negative > %(margin)s::real
            THEN %(margin)s::real - (sc.positive - sc.negative) ELSE %(junk_margin)s::real - (sc.positive - sc.junk) END
    END)::float AS distance
FROM project_segment ps
JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id AND pf.reason = %(reason)s
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
LEFT JOIN frame_score sc ON sc.project_id = ps.project_id AND sc.segment_id = fr.segment_id AND sc.pts_ms = fr.pts_ms
    AND sc.key = %(filter_key)s
WHERE ps.project_id = %(project_id)s
ORDER BY distance, ps.video_id, pf.pts_ms, ps.start_ms LIMIT %(limit)s

-- name: repeated
-- Frames that dedup dropped for one reason, the least alike first: of bits that differ as many as may.
SELECT pf.segment_id, pf.pts_ms, bit_count((fr.phash # rf.phash)::bit(64))::float AS distance
FROM project_segment ps
JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id
    AND NOT pf.is_kept AND pf.reason IS NULL AND pf.dedup_reason = %(reason)s
JOIN frame fr ON fr.segment_id = pf.segment_id AND fr.pts_ms = pf.pts_ms
LEFT JOIN frame rf ON rf.segment_id = pf.representative_segment_id AND rf.pts_ms = pf.representative_pts_ms
WHERE ps.project_id = %(project_id)s
ORDER BY distance DESC NULLS LAST, ps.video_id, pf.pts_ms, ps.start_ms LIMIT %(limit)s

-- name: undetected
-- Kept frames without a box that stands, the best box that does not stand first; its distance is to `conf`.
-- The frames with a box are listed once: asked frame by frame, the view took 6 s for 1,500 kept ones.
SELECT pf.segment_id, pf.pts_ms, (CASE WHEN best.score IS NOT NULL THEN greatest(0, %(conf)s::real - best.score) END)::float AS distance
FROM project_segment ps
JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id AND pf.is_kept AND pf.reason IS NULL
JOIN detection_run r ON r.segment_id = pf.segment_id AND r.pts_ms = pf.pts_ms AND r.detector = %(detect_key)s
LEFT JOIN (SELECT DISTINCT segment_id, pts_ms FROM project_box WHERE project_id = %(project_id)s) AS framed
    ON framed.segment_id = pf.segment_id AND framed.pts_ms = pf.pts_ms
LEFT JOIN human_label h ON h.project_id = ps.project_id AND h.video_id = ps.video_id AND h.pts_ms = pf.pts_ms
LEFT JOIN LATERAL (SELECT max(d.score) AS score FROM detection d WHERE d.segment_id = r.segment_id AND d.pts_ms = r.pts_ms
    AND d.detector = r.detector) AS best ON true
WHERE ps.project_id = %(project_id)s AND framed.segment_id IS NULL AND h.video_id IS NULL
ORDER BY distance NULLS LAST, ps.video_id, pf.pts_ms, ps.start_ms LIMIT %(limit)s

-- name: framed
WITH framed AS (SELECT DISTINCT segment_id, pts_ms FROM project_box WHERE project_id = %(project_id)s)
SELECT f.segment_id, f.pts_ms FROM framed f
JOIN project_segment ps ON ps.project_id = %(project_id)s AND ps.segment_id = f.segment_id
ORDER BY hashtextextended(ps.video_id, f.pts_ms), f.pts_ms, ps.start_ms LIMIT %(limit)s

-- name: kept
SELECT pf.segment_id, pf.pts_ms FROM project_segment ps
JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id AND pf.is_kept AND pf.reason IS NULL
WHERE ps.project_id = %(project_id)s
ORDER BY hashtextextended(ps.video_id, pf.pts_ms), pf.pts_ms, ps.start_ms LIMIT %(limit)s

-- name: groups
-- Kept frames that stand for most others, each with a few of those.
WITH member AS (
    SELECT pf.representative_segment_id AS segment_id, pf.representative_pts_ms AS pts_ms, ps.video_id, ps.start_ms,
        pf.segment_id AS member_segment_id, pf.pts_ms AS member_pts_ms
    FROM project_segment ps
    JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id
        AND NOT pf.is_kept AND pf.reason IS NULL AND pf.dedup_reason IS DISTINCT FROM 'rejected' AND pf.representative_pts_ms IS NOT NULL
    WHERE ps.project_id = %(project_id)s
), sized AS (
    SELECT m.segment_id, m.pts_ms, ps.video_id, ps.start_ms, count(*)::int AS members, count(DISTINCT m.video_id)::int AS videos
    FROM member m JOIN project_segment ps ON ps.project_id = %(project_id)s AND ps.segment_id = m.segment_id
    GROUP BY 1, 2, 3, 4 ORDER BY members DESC, 3, 2, 4 LIMIT %(limit)s
), ranked AS (
    SELECT m.*, row_number() OVER (PARTITION BY m.segment_id, m.pts_ms
        ORDER BY hashtextextended(m.video_id, m.member_pts_ms), m.member_pts_ms, m.start_ms) AS nth
    FROM member m JOIN sized s ON s.segment_id = m.segment_id AND s.pts_ms = m.pts_ms
)
SELECT s.segment_id, s.pts_ms, s.members, s.videos, array_agg(r.member_segment_id ORDER BY r.nth) AS segment_ids,
    array_agg(r.member_pts_ms ORDER BY r.nth) AS member_pts_ms
FROM sized s JOIN ranked r ON r.segment_id = s.segment_id AND r.pts_ms = s.pts_ms AND r.nth <= %(few)s
GROUP BY s.segment_id, s.pts_ms, s.members, s.videos, s.video_id, s.start_ms
ORDER BY s.members DESC, s.video_id, s.pts_ms, s.start_ms

-- name: pictures
-- What is needed to show frames. One that a person rejected, or that was withdrawn, is not among them.
SELECT fr.segment_id, fr.pts_ms, ps.video_id, v.url, v.title, v.uploader, v.license, s.shard, fr.shard_offset, fr.size_bytes,
    fr.width, fr.height, fr.sharpness, fr.brightness, fr.contrast, sc.positive, sc.positive_prompt, sc.negative, sc.negative_prompt,
    sc.junk, sc.junk_prompt
FROM unnest(%(segment_ids)s::bigint[], %(pts_ms)s::bigint[]) AS n (segment_id, pts_ms)
JOIN project_segment ps ON ps.project_id = %(project_id)s AND ps.segment_id = n.segment_id
JOIN frame fr ON fr.segment_id = n.segment_id AND fr.pts_ms = n.pts_ms
JOIN segment s ON s.id = n.segment_id
JOIN video v ON v.id = ps.video_id
LEFT JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = fr.segment_id AND pf.pts_ms = fr.pts_ms
LEFT JOIN frame_score sc ON sc.project_id = ps.project_id AND sc.segment_id = fr.segment_id AND sc.pts_ms = fr.pts_ms
    AND sc.key = %(filter_key)s
WHERE pf.reason IS DISTINCT FROM 'rejected' AND pf.dedup_reason IS DISTINCT FROM 'rejected'
  AND NOT EXISTS (SELECT FROM rejection r WHERE r.project_id = ps.project_id AND r.video_id = v.id AND coalesce(r.pts_ms, fr.pts_ms) = fr.pts_ms)
  AND NOT EXISTS (SELECT FROM rejection r WHERE r.project_id = ps.project_id AND r.uploader IS NOT NULL AND is_by(v, r.uploader))
  AND NOT EXISTS (SELECT FROM forgotten f WHERE f.video_id = v.id)
  AND NOT EXISTS (SELECT FROM forgotten f WHERE f.uploader IS NOT NULL AND is_by(v, f.uploader))

-- name: boxes
SELECT b.segment_id, b.pts_ms, b.label, b.score, b.x1, b.y1, b.x2, b.y2, b.is_human, true AS stands
FROM project_box b JOIN unnest(%(segment_ids)s::bigint[], %(pts_ms)s::bigint[]) AS n (segment_id, pts_ms)
    ON n.segment_id = b.segment_id AND n.pts_ms = b.pts_ms
WHERE b.project_id = %(project_id)s ORDER BY b.segment_id, b.pts_ms, b.is_human, b.ordinal

-- name: doubts
-- The best stored boxes of frames on which none stands: too weak, too small, or of no wanted class.
SELECT n.segment_id, n.pts_ms, coalesce(word.value, d.prompt) AS label, d.score, d.x1, d.y1, d.x2, d.y2,
    false AS is_human, false AS stands
FROM unnest(%(segment_ids)s::bigint[], %(pts_ms)s::bigint[]) AS n (segment_id, pts_ms)
JOIN project p ON p.id = %(project_id)s
JOIN LATERAL (SELECT * FROM detection d WHERE d.segment_id = n.segment_id AND d.pts_ms = n.pts_ms
    AND d.detector = %(detect_key)s ORDER BY d.score DESC, d.ordinal LIMIT 3) AS d ON true
LEFT JOIN LATERAL jsonb_each_text(p.plan #> '{detect,params,labels}') AS word ON word.key = lower(d.prompt)
ORDER BY n.segment_id, n.pts_ms, d.score DESC, d.ordinal

-- name: yields
-- Images by source, best first: what is kept, of how many videos.
WITH own AS (
    SELECT source_id, video_id, reason FROM project_video WHERE project_id = %(project_id)s
), images AS (
    SELECT ps.video_id, count(*)::int AS n FROM project_frame pf
    JOIN project_segment ps ON ps.project_id = pf.project_id AND ps.segment_id = pf.segment_id
    WHERE pf.project_id = %(project_id)s AND pf.is_kept AND pf.reason IS NULL GROUP BY 1
)
SELECT s.kind, s.locator, count(own.video_id)::int AS videos, count(own.reason)::int AS skipped,
    coalesce(sum(images.n), 0)::int AS images, count(images.n)::int AS useful
FROM source s LEFT JOIN own ON own.source_id = s.id LEFT JOIN images ON images.video_id = own.video_id
WHERE s.project_id = %(project_id)s GROUP BY s.id, s.ordinal
ORDER BY coalesce(sum(images.n), 0)::float / nullif(count(own.video_id), 0) DESC NULLS LAST, s.ordinal

-- name: skipped
-- Videos that were not mined, some of each reason; of what a person or an owner took out nothing is said.
SELECT reason, id, url, title FROM (
    SELECT pv.reason, v.id, v.url, v.title, row_number() OVER (PARTITION BY pv.reason ORDER BY pv.ordinal, pv.rank, v.id) AS nth
    FROM project_video pv JOIN video v ON v.id = pv.video_id
    WHERE pv.project_id = %(project_id)s AND pv.reason IS NOT NULL AND pv.reason NOT IN ('rejected', 'forgotten')
      AND NOT EXISTS (SELECT FROM forgotten f WHERE f.video_id = v.id)
      AND NOT EXISTS (SELECT FROM forgotten f WHERE f.uploader IS NOT NULL AND is_by(v, f.uploader))
) AS ranked WHERE nth <= %(limit)s ORDER BY reason, nth

-- name: dead
SELECT stage, reason, id, url, title FROM (
    SELECT DISTINCT j.stage, coalesce(j.reason, 'error') AS reason, v.id, v.url, v.title,
        dense_rank() OVER (PARTITION BY j.stage, j.reason ORDER BY v.id) AS nth
    FROM project_job j JOIN video v ON v.id = j.video_id
    WHERE j.project_id = %(project_id)s AND j.state = 'dead' AND NOT EXISTS (SELECT FROM forgotten f WHERE f.video_id = v.id)
) AS ranked WHERE nth <= %(limit)s ORDER BY stage, reason, id

-- name: site_videos
SELECT v.site AS name, count(*)::int AS videos, count(pv.reason)::int AS skipped FROM project_video pv
JOIN video v ON v.id = pv.video_id WHERE pv.project_id = %(project_id)s GROUP BY 1 ORDER BY 2 DESC, 1
