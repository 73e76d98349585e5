-- The data order: (moved, ordinal of the source, rank in the source, video, start of the segment). What is held up
-- from outside holds nobody up; when it comes back it goes to the end, and that move is recorded.

-- name: take_turn
-- Who derives, judges, admits or moves anything of a project holds its turn: in one order, or two would deadlock.
SELECT project_id, dedup_version FROM admission WHERE project_id = ANY(%(project_ids)s) ORDER BY project_id FOR UPDATE

-- name: take_all_turns
SELECT project_id FROM admission ORDER BY project_id FOR UPDATE

-- name: hold
-- Whatever waits for a blocked or dead job: derived, so that a project that comes later holds it too.
WITH stuck AS (
    SELECT stage, source_id, fetch_id, segment_id, project_id FROM job
    WHERE (%(video_id)s::text IS NULL OR video_id = %(video_id)s) AND state IN ('blocked', 'dead')
), sources AS (
    UPDATE source SET is_held = true FROM stuck WHERE stuck.stage = 'expand' AND source.id = stuck.source_id
      AND (%(project_id)s::int IS NULL OR source.project_id = %(project_id)s)
      AND NOT source.is_held AND source.expanded_at IS NULL
), videos AS (
    UPDATE project_video pv SET is_held = true FROM stuck WHERE stuck.stage = 'download' AND pv.fetch_id = stuck.fetch_id
      AND (%(project_id)s::int IS NULL OR pv.project_id = %(project_id)s) AND NOT pv.is_held AND NOT pv.is_cut
)
UPDATE project_segment ps SET is_held = true FROM stuck
WHERE stuck.stage IN ('extract', 'filter', 'embed', 'dedup') AND ps.segment_id = stuck.segment_id
  AND ps.project_id = coalesce(stuck.project_id, ps.project_id)
  AND (%(project_id)s::int IS NULL OR ps.project_id = %(project_id)s) AND NOT ps.is_held AND NOT ps.is_decided
RETURNING ps.project_id, ps.video_id

-- name: unhold
-- Held, and nothing blocked or dead holds it any more: back, at the end.
WITH sources AS (
    SELECT s.id, s.project_id FROM source s
    WHERE s.is_held AND s.expanded_at IS NULL AND (%(project_id)s::int IS NULL OR s.project_id = %(project_id)s)
      AND %(video_id)s::text IS NULL
      AND NOT EXISTS (SELECT FROM job j WHERE j.source_id = s.id AND j.state IN ('blocked', 'dead'))
), videos AS (
    SELECT pv.project_id, pv.video_id, pv.fetch_id FROM project_video pv
    WHERE pv.is_held AND (%(project_id)s::int IS NULL OR pv.project_id = %(project_id)s)
      AND (%(video_id)s::text IS NULL OR pv.video_id = %(video_id)s)
      AND NOT EXISTS (SELECT FROM job j WHERE j.fetch_id = pv.fetch_id AND j.state IN ('blocked', 'dead'))
), segments AS (
    SELECT ps.project_id, ps.segment_id, ps.video_id FROM project_segment ps
    WHERE ps.is_held AND (%(project_id)s::int IS NULL OR ps.project_id = %(project_id)s)
      AND (%(video_id)s::text IS NULL OR ps.video_id = %(video_id)s)
      AND NOT EXISTS (SELECT FROM job j WHERE j.segment_id = ps.segment_id AND j.state IN ('blocked', 'dead')
                      AND j.stage IN ('extract', 'filter', 'embed', 'dedup') AND coalesce(j.project_id, ps.project_id) = ps.project_id)
), moves AS (
    UPDATE admission a SET moves = moves + 1
    WHERE a.project_id IN (SELECT project_id FROM sources UNION SELECT project_id FROM videos UNION SELECT project_id FROM segments)
    RETURNING a.project_id, a.moves
), back_sources AS (
    UPDATE source s SET is_held = false, moved = moves.moves FROM sources JOIN moves USING (project_id) WHERE s.id = sources.id
), back_videos AS (
    UPDATE project_video pv SET is_held = false, moved = moves.moves FROM videos JOIN moves USING (project_id)
    WHERE pv.project_id = videos.project_id AND pv.video_id = videos.video_id
), back_segments AS (
    UPDATE project_segment ps SET is_held = false, moved = moves.moves FROM segments JOIN moves USING (project_id)
    WHERE ps.project_id = segments.project_id AND ps.segment_id = segments.segment_id
), places AS (  -- a shared job keeps the smallest place of those that want it
    SELECT j.id, least(min(m.moves), min(other.moved)) AS moved FROM videos v JOIN moves m USING (project_id)
    JOIN job j ON j.fetch_id = v.fetch_id
    LEFT JOIN project_video other ON other.fetch_id = v.fetch_id AND NOT other.is_held AND other.reason IS NULL GROUP BY j.id
    UNION ALL
    SELECT j.id, m.moves FROM sources s JOIN moves m USING (project_id) JOIN job j ON j.source_id = s.id
    UNION ALL
    SELECT j.id, m.moves FROM segments s JOIN moves m USING (project_id)
    JOIN job j ON j.segment_id = s.segment_id AND j.project_id = s.project_id
), behind AS (
    UPDATE job SET moved = places.moved FROM places WHERE job.id = places.id AND job.state = 'waiting' AND job.moved <> places.moved
)
SELECT DISTINCT project_id, video_id FROM segments

-- name: spoken_on
-- Has a person labelled a picture of one of these videos, or rejected one? Such a picture is compared with before all
-- others, so when it comes, goes or changes its place, everything is decided anew.
SELECT FROM human_label WHERE project_id = %(project_id)s AND video_id = ANY(%(video_ids)s)
UNION ALL
SELECT FROM rejection WHERE project_id = %(project_id)s AND video_id = ANY(%(video_ids)s) AND pts_ms IS NOT NULL
LIMIT 1

-- name: undecided_before
SELECT FROM project_segment ps JOIN project_segment mine
    ON mine.project_id = ps.project_id AND mine.segment_id = %(segment_id)s
WHERE ps.project_id = %(project_id)s AND NOT ps.is_decided AND NOT ps.is_held
  AND (ps.moved, ps.ordinal, ps.rank, ps.video_id, ps.start_ms)
    < (mine.moved, mine.ordinal, mine.rank, mine.video_id, mine.start_ms)
LIMIT 1

-- name: redecide
-- Something at this place was un-kept, came in or newly passed: dedup speaks again from here on, from stored hashes.
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
    UPDATE project_frame pf SET is_kept = NULL, dedup_reason = NULL, representative_segment_id = NULL, representative_pts_ms = NULL
    FROM again WHERE pf.project_id = %(project_id)s AND pf.segment_id = again.segment_id AND pf.is_kept IS NOT NULL
)
UPDATE admission SET dedup_version = dedup_version + 1
WHERE project_id = %(project_id)s AND EXISTS (SELECT FROM again)

-- name: redecide_all
-- The version is raised in any case: an admission in flight was made by the old rule.
WITH again AS (
    UPDATE project_segment SET is_decided = false WHERE project_id = %(project_id)s AND is_decided RETURNING segment_id
), forgotten AS (
    UPDATE project_frame pf SET is_kept = NULL, dedup_reason = NULL, representative_segment_id = NULL, representative_pts_ms = NULL
    FROM again WHERE pf.project_id = %(project_id)s AND pf.segment_id = again.segment_id AND pf.is_kept IS NOT NULL
)
UPDATE admission SET dedup_version = dedup_version + 1 WHERE project_id = %(project_id)s
