-- What lies in the store or on a node and will never be used. Job ids are never given twice and an attempt is
-- claimed once, so an attempt that is over stays over. A job that is not there proves nothing (another ledger's, or
-- one restored from a backup), nor does an attempt that is still to come.

-- name: proven
-- One statement, one snapshot: a finish in flight is seen as running, or with the row that names its artifact.
SELECT a.name FROM unnest(%(names)s::text[], %(kinds)s::text[], %(jobs)s::bigint[], %(attempts)s::int[])
    AS a (name, kind, job_id, attempt)
JOIN job ON job.id = a.job_id
WHERE (a.attempt < job.attempt OR a.attempt = job.attempt AND job.state <> 'running')
  AND NOT EXISTS (SELECT FROM "fetch" f WHERE f.id = job.fetch_id AND f.path = a.name)
  AND NOT EXISTS (SELECT FROM segment s WHERE s.id = job.segment_id AND s.shard = a.name)
  AND NOT EXISTS (SELECT FROM embedding e WHERE e.segment_id = job.segment_id AND e.path = a.name)
  AND NOT EXISTS (SELECT FROM known_embedding e WHERE e.path = a.name)
  AND (a.kind, job.stage) IN (('videos', 'download'), ('shards', 'extract'), ('embeddings', 'filter'), ('embeddings', 'embed'))

-- name: ended_attempts
SELECT a.name FROM unnest(%(names)s::text[], %(jobs)s::bigint[], %(attempts)s::int[]) AS a (name, job_id, attempt)
JOIN job ON job.id = a.job_id
WHERE a.attempt < job.attempt OR a.attempt = job.attempt AND job.state <> 'running'

-- name: ended_jobs
SELECT a.name FROM unnest(%(names)s::text[], %(jobs)s::bigint[]) AS a (name, job_id)
JOIN job ON job.id = a.job_id WHERE job.state IN ('done', 'superseded')
