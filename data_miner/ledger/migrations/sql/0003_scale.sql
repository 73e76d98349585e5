-- How many actors a person wants of a stage, over all its models (`scale`); no row: as the backlog asks.
CREATE TABLE pool_bound (
    stage text PRIMARY KEY,
    least int NOT NULL CHECK (least >= 0),
    most int NOT NULL CHECK (most >= least)
);

-- `pause`: work that only paused projects want waits with not_before = infinity, so it is in no index that a claim or
-- the backlog reads. A site's trial goes on: others wait for what it finds out.
CREATE FUNCTION rests(j job) RETURNS boolean LANGUAGE sql STABLE AS $$
SELECT NOT EXISTS (SELECT FROM site WHERE site.name = j.site AND site.trial_job = j.id) AND coalesce(CASE
    WHEN j.project_id IS NOT NULL THEN (SELECT p.is_paused FROM project p WHERE p.id = j.project_id)
    WHEN j.stage = 'download' THEN (
        SELECT bool_and(p.is_paused) FROM project_video pv JOIN project p ON p.id = pv.project_id
        WHERE pv.fetch_id = j.fetch_id AND pv.reason IS NULL)
    ELSE (
        SELECT bool_and(p.is_paused) FROM project_segment ps JOIN project p ON p.id = ps.project_id
        WHERE ps.segment_id = j.segment_id)
    END, false)
$$;

-- Work comes back in many ways (failed, released, swept, its site opens, `retry`): whichever it was, it rests at once.
CREATE FUNCTION lay_to_rest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF rests(NEW) THEN
        NEW.not_before := 'infinity';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER job_rests BEFORE UPDATE OF state, not_before ON job FOR EACH ROW
    WHEN (NEW.state = 'waiting' AND NEW.not_before IS NULL AND (OLD.state <> 'waiting' OR OLD.not_before IS NOT NULL))
    EXECUTE FUNCTION lay_to_rest();

CREATE VIEW waiting_job AS              -- what a project wants that nobody does yet, shared work too
SELECT project_id, id FROM job WHERE project_id IS NOT NULL AND state = 'waiting'
UNION ALL
SELECT pv.project_id, j.id FROM project_video pv JOIN job j ON j.fetch_id = pv.fetch_id
WHERE pv.reason IS NULL AND j.state = 'waiting'
UNION ALL
SELECT ps.project_id, j.id FROM project_segment ps JOIN job j ON j.segment_id = ps.segment_id AND j.stage = 'extract'
WHERE j.state = 'waiting';
