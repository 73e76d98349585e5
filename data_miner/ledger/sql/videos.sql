-- Sources, videos, fetches.

-- name: source
SELECT s.id, s.kind, s.locator, s.site, s.moved, s.ordinal, p.id AS project_id, p.plan #> '{download,params}' AS download
FROM source s JOIN project p ON p.id = s.project_id WHERE s.id = %(source_id)s

-- name: upsert_video
-- A listing never overwrites what the video's own page said.
INSERT INTO video (id, url, site, title, uploader, uploader_id, channel, license, upload_date, duration_s, tags, extra, metadata_at)
VALUES (%(id)s, %(url)s, %(site)s, %(title)s, %(uploader)s, %(uploader_id)s, %(channel)s, %(license)s, %(upload_date)s,
    %(duration_s)s, %(tags)s, %(extra)s, CASE WHEN %(is_page)s THEN now() END)
ON CONFLICT (id) DO UPDATE SET
    url = excluded.url, site = excluded.site, title = excluded.title, uploader = excluded.uploader,
    uploader_id = excluded.uploader_id, channel = excluded.channel, license = excluded.license,
    upload_date = excluded.upload_date, duration_s = coalesce(excluded.duration_s, video.duration_s),
    tags = excluded.tags, extra = excluded.extra, metadata_at = excluded.metadata_at
    WHERE %(is_page)s OR video.metadata_at IS NULL

-- name: ranked
SELECT video_id, rank FROM source_video WHERE source_id = %(source_id)s

-- name: rank_video
INSERT INTO source_video (source_id, video_id, rank) VALUES (%(source_id)s, %(video_id)s, %(rank)s) ON CONFLICT DO NOTHING

-- name: add_to_project
-- Of several sources that bring a video the smallest place counts, as long as dedup has not spoken on it.
INSERT INTO project_video (project_id, video_id, source_id, moved, ordinal, rank)
SELECT project_id, %(video_id)s, id, moved, ordinal, %(rank)s FROM source WHERE id = %(source_id)s
ON CONFLICT (project_id, video_id) DO UPDATE
    SET source_id = excluded.source_id, moved = excluded.moved, ordinal = excluded.ordinal, rank = excluded.rank
    WHERE (excluded.moved, excluded.ordinal, excluded.rank) < (project_video.moved, project_video.ordinal, project_video.rank)
      AND NOT EXISTS (SELECT FROM project_segment ps WHERE ps.project_id = project_video.project_id
                      AND ps.video_id = project_video.video_id AND ps.is_decided)
RETURNING (xmax = 0) AS is_new

-- name: move_segments
UPDATE project_segment ps SET moved = pv.moved, ordinal = pv.ordinal, rank = pv.rank
FROM project_video pv WHERE pv.project_id = %(project_id)s AND pv.video_id = %(video_id)s
  AND ps.project_id = pv.project_id AND ps.video_id = pv.video_id

-- name: move_jobs
UPDATE job SET moved = pv.moved, ordinal = pv.ordinal, rank = pv.rank
FROM project_video pv WHERE pv.project_id = %(project_id)s AND pv.video_id = %(video_id)s
  AND job.video_id = pv.video_id AND job.state = 'waiting' AND (job.project_id IS NULL OR job.project_id = pv.project_id)
  AND (pv.moved, pv.ordinal, pv.rank) < (job.moved, job.ordinal, job.rank)

-- name: expanded
UPDATE source SET expanded_at = now(), is_held = false WHERE id = %(source_id)s

-- name: fetch
SELECT f.video_id, f.key, f.max_height, f.path, v.* FROM "fetch" f JOIN video v ON v.id = f.video_id WHERE f.id = %(fetch_id)s

-- name: wanting_projects
SELECT p.id, p.plan #> '{download,params}' AS download
FROM project_video pv JOIN project p ON p.id = pv.project_id
WHERE pv.fetch_id = %(fetch_id)s AND pv.reason IS NULL ORDER BY p.id

-- name: skip
UPDATE video SET skipped = %(reason)s, skipped_at = now() WHERE id = %(video_id)s

-- name: fetched
UPDATE "fetch" SET path = %(path)s, sha256 = %(sha256)s, size_bytes = %(size_bytes)s, width = %(width)s, height = %(height)s,
    codec = %(codec)s, average_fps = %(average_fps)s, first_pts_ms = %(first_pts_ms)s, duration_ms = %(duration_ms)s,
    fetched_at = now() WHERE id = %(fetch_id)s
