-- What a registered configuration leaves to be done. Asked inside a registration that is rolled back.

-- name: sources
SELECT kind, locator, expanded_at IS NOT NULL AS is_asked FROM source WHERE project_id = %(project_id)s ORDER BY ordinal

-- name: downloads
-- Videos whose bytes are to be fetched; a local file is only looked at.
SELECT v.site, count(*)::int AS videos, count(v.duration_s)::int AS timed, coalesce(sum(v.duration_s), 0)::float AS seconds,
    (site.sleep_interval + site.max_sleep_interval) / 2 * site.slowdown AS pace_s, site.state
FROM project_video pv JOIN job j ON j.fetch_id = pv.fetch_id AND j.stage = 'download'
JOIN video v ON v.id = pv.video_id LEFT JOIN site ON site.name = v.site
WHERE pv.project_id = %(project_id)s AND pv.reason IS NULL AND j.state IN ('waiting', 'running', 'blocked')
GROUP BY v.site, site.name ORDER BY v.site

-- name: uncut
-- Videos of which no picture was taken under this configuration.
SELECT count(*)::int AS videos, count(seconds)::int AS timed, coalesce(sum(seconds), 0)::float AS seconds,
    coalesce(sum(least(seconds * %(fps)s::float, coalesce(%(max_frames)s::int, 1e9))), 0)::float AS frames
FROM (SELECT coalesce(f.duration_ms / 1000.0, v.duration_s)::float AS seconds
    FROM project_video pv JOIN video v ON v.id = pv.video_id LEFT JOIN "fetch" f ON f.id = pv.fetch_id
    JOIN project p ON p.id = pv.project_id
    WHERE pv.project_id = %(project_id)s AND pv.reason IS NULL AND NOT pv.is_cut AND v.skipped IS NULL
      AND NOT EXISTS (SELECT FROM job j WHERE j.fetch_id = pv.fetch_id AND j.stage = 'download' AND j.state = 'dead')
      AND (p.video_limit IS NULL OR pv.fetch_id IS NOT NULL)) AS own

-- name: unextracted
SELECT count(DISTINCT ps.video_id)::int AS videos,
    coalesce(sum(least((s.end_ms - s.start_ms) / 1000.0 * %(fps)s::float, coalesce(s.max_frames, 1e9))), 0)::float AS frames
FROM project_segment ps JOIN segment s ON s.id = ps.segment_id
WHERE ps.project_id = %(project_id)s AND s.shard IS NULL

-- name: frames
-- Frames that are here and still to be scored (and embedded first), compared, or looked at by the detector. Only good
-- ones are scored, and without a text filter they pass.
WITH p AS (
    SELECT id, plan #> '{filter,params}' AS f, plan #>> '{filter,key}' AS key, plan #>> '{filter,params,embedding}' AS embedding,
        plan #>> '{detect,key}' AS detector,
        plan #>> '{embed,key}' AS embedder
    FROM project WHERE id = %(project_id)s
), unscored AS (
    SELECT f.segment_id, f.pts_ms FROM p JOIN project_segment ps ON ps.project_id = p.id
    JOIN frame f ON f.segment_id = ps.segment_id
    WHERE ps.filtered IS DISTINCT FROM p.key
      AND least(f.width, f.height) >= (p.f ->> 'min_side')::int
      AND f.brightness BETWEEN (p.f #>> '{brightness,0}')::real AND (p.f #>> '{brightness,1}')::real
      AND f.contrast >= (p.f ->> 'min_contrast')::real AND f.sharpness >= (p.f ->> 'min_sharpness')::real
      AND NOT EXISTS (SELECT FROM frame_score sc WHERE sc.project_id = p.id AND sc.segment_id = f.segment_id
                      AND sc.pts_ms = f.pts_ms AND sc.key = p.key)
)
SELECT (SELECT count(*) FROM unscored)::int AS to_score,
    (SELECT count(*) FROM unscored u WHERE NOT EXISTS (SELECT FROM embedding e, p
        WHERE e.segment_id = u.segment_id AND e.model = p.embedding AND u.pts_ms = ANY(e.pts_ms)))::int AS to_embed,
    (SELECT count(*) FROM p JOIN project_frame pf ON pf.project_id = p.id AND pf.reason IS NULL
        WHERE p.embedder IS NOT NULL AND NOT EXISTS (SELECT FROM embedding e
            WHERE e.segment_id = pf.segment_id AND e.model = p.embedder AND pf.pts_ms = ANY(e.pts_ms)))::int AS to_embed_passed,
    (SELECT count(*) FROM p JOIN project_segment ps ON ps.project_id = p.id AND NOT ps.is_decided
        JOIN project_frame pf ON pf.project_id = p.id AND pf.segment_id = ps.segment_id
        WHERE pf.reason IS NULL)::int AS to_compare,
    (SELECT count(*) FROM p JOIN project_frame pf ON pf.project_id = p.id AND pf.is_kept AND pf.reason IS NULL
        WHERE p.detector IS NOT NULL AND NOT EXISTS (SELECT FROM detection_run r
            WHERE r.segment_id = pf.segment_id AND r.pts_ms = pf.pts_ms AND r.detector = p.detector))::int AS to_detect,
    (SELECT count(*) FROM p JOIN project_frame pf ON pf.project_id = p.id AND pf.reason IS NULL)::int AS passed

-- name: sizes
-- Bytes of a second of film and of a picture, as everything mined so far has them.
SELECT (SELECT sum(size_bytes)::float / nullif(sum(duration_ms), 0) * 1000 FROM "fetch" WHERE fetched_at IS NOT NULL
        AND path NOT LIKE 'file:%%') AS film_bytes_per_s,
    (SELECT sum(duration_s)::float / count(duration_s) FROM video) AS film_s,
    (SELECT sum(size_bytes)::float / nullif(count(*), 0) FROM (SELECT size_bytes FROM frame LIMIT 10000) AS sampled) AS frame_bytes
