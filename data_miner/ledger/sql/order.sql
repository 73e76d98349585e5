-- The data order: (moved, ordinal of the source, rank in the source, video, start of the segment). What is held up
-- from outside holds nobody up; when it comes back it goes to the end, and that move is recorded.

-- name: hold
WITH stuck AS (SELECT source_id, fetch_id, segment_id, project_id, stage FROM job WHERE id = ANY(%(job_ids)s)),
sources AS (
    UPDATE source SET is_held = true FROM stuck WHERE stuck.stage = 'expand' AND source.id = stuck.source_id
), videos AS (
    UPDATE project_video SET is_held = true FROM stuck
    WHERE stuck.stage = 'download' AND project_video.fetch_id = stuck.fetch_id
)
UPDATE project_segment SET is_held = true FROM stuck
WHERE stuck.stage IN ('extract', 'filter', 'dedup') AND project_segment.segment_id = stuck.segment_id
  AND (stuck.project_id IS NULL OR stuck.project_id = project_segment.project_id)

-- name: blocked_jobs
SELECT id FROM job WHERE site = %(name)s AND state = 'blocked'

-- name: unhold
WITH back AS (SELECT id, source_id, fetch_id, segment_id, project_id, stage FROM job WHERE id = ANY(%(job_ids)s)),
touched AS (
    SELECT s.project_id FROM source s JOIN back ON back.stage = 'expand' AND back.source_id = s.id WHERE s.is_held
    UNION SELECT pv.project_id FROM project_video pv JOIN back ON back.stage = 'download' AND back.fetch_id = pv.fetch_id
    WHERE pv.is_held
    UNION SELECT ps.project_id FROM project_segment ps
    JOIN back ON back.segment_id = ps.segment_id AND back.stage IN ('extract', 'filter', 'dedup')
      AND (back.project_id IS NULL OR back.project_id = ps.project_id) WHERE ps.is_held
), moves AS (
    UPDATE project SET moves = moves + 1 FROM touched WHERE project.id = touched.project_id
    RETURNING project.id AS project_id, project.moves
), sources AS (
    UPDATE source SET is_held = false, moved = moves.moves FROM back, moves
    WHERE back.stage = 'expand' AND source.id = back.source_id AND source.is_held AND moves.project_id = source.project_id
), videos AS (
    UPDATE project_video SET is_held = false, moved = moves.moves FROM back, moves
    WHERE back.stage = 'download' AND project_video.fetch_id = back.fetch_id AND project_video.is_held
      AND moves.project_id = project_video.project_id
), segments AS (
    UPDATE project_segment SET is_held = false, moved = moves.moves FROM back, moves
    WHERE back.stage IN ('extract', 'filter', 'dedup') AND project_segment.segment_id = back.segment_id
      AND project_segment.is_held AND moves.project_id = project_segment.project_id
      AND (back.project_id IS NULL OR back.project_id = project_segment.project_id)
)
UPDATE job SET moved = moves.moves FROM back, moves WHERE job.id = back.id

-- name: frontier
-- The first place that is not decided yet: nothing at or behind it may be admitted. No row: all is decided.
WITH own AS (SELECT id, video_limit, plan #>> '{filter,key}' AS filter_key FROM project WHERE id = %(project_id)s),
places AS (
    (SELECT moved, ordinal, -1 AS rank, '' AS video_id, -1::bigint AS start_ms
     FROM source, own WHERE source.project_id = own.id AND expanded_at IS NULL AND NOT is_held
     ORDER BY 1, 2 LIMIT 1)
    UNION ALL
    (SELECT pv.moved, pv.ordinal, pv.rank, pv.video_id, -1
     FROM project_video pv, own WHERE pv.project_id = own.id AND pv.reason IS NULL AND NOT pv.is_cut AND NOT pv.is_held
       AND (own.video_limit IS NULL OR pv.fetch_id IS NOT NULL)
     ORDER BY pv.moved, pv.ordinal, pv.rank, pv.video_id LIMIT 1)
    UNION ALL
    (SELECT ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms
     FROM project_segment ps, own WHERE ps.project_id = own.id AND NOT ps.is_held AND ps.filtered IS DISTINCT FROM own.filter_key
     ORDER BY ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms LIMIT 1)
)
SELECT * FROM places ORDER BY moved, ordinal, rank, video_id, start_ms LIMIT 1

-- name: undecided_before
SELECT FROM project_segment ps JOIN project_segment mine
    ON mine.project_id = ps.project_id AND mine.segment_id = %(segment_id)s
WHERE ps.project_id = %(project_id)s AND NOT ps.is_decided AND NOT ps.is_held
  AND (ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms)
    < (mine.moved, mine.ordinal, mine.rank, mine.video_id, mine.start_ms)
LIMIT 1

-- name: redecide
-- Something at this place was un-kept or newly passed: dedup speaks again from here on, from stored hashes.
WITH place AS (
    SELECT moved, ordinal, rank, video_id, start_ms FROM project_segment
    WHERE project_id = %(project_id)s AND segment_id = ANY(%(segment_ids)s)
    ORDER BY moved, ordinal, rank, video_id, start_ms LIMIT 1
), again AS (
    UPDATE project_segment ps SET is_decided = false FROM place
    WHERE ps.project_id = %(project_id)s AND ps.is_decided
      AND (ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms)
       >= (place.moved, place.ordinal, place.rank, place.video_id, place.start_ms)
    RETURNING ps.segment_id
), forgotten AS (
    UPDATE project_frame pf SET is_kept = NULL, representative_segment_id = NULL, representative_pts_ms = NULL
    FROM again WHERE pf.project_id = %(project_id)s AND pf.segment_id = again.segment_id AND pf.is_kept IS NOT NULL
)
UPDATE admission SET dedup_version = dedup_version + 1 WHERE project_id = %(project_id)s
