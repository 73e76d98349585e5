-- A person's word wins (DESIGN §1, promise 3), so it is kept apart from everything that is derived, and under names
-- that outlive it: a video's id and a true presentation time, never a segment, which another fps cuts anew.

CREATE TABLE rejection (                -- a picture, a video or an uploader that a project never wants again
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    video_id text COLLATE "C",          -- may be one that no search has found yet
    pts_ms bigint,                      -- null: the whole video
    uploader text,                      -- name, handle or channel id; then no video is named
    phash bigint,                       -- of the picture: what looks like it is not wanted either
    at timestamptz NOT NULL DEFAULT now(),
    CHECK ((video_id IS NULL) = (uploader IS NOT NULL) AND (pts_ms IS NULL OR video_id IS NOT NULL)),
    UNIQUE NULLS NOT DISTINCT (project_id, video_id, pts_ms, uploader)
);

CREATE INDEX rejection_uploader ON rejection (project_id, uploader) WHERE uploader IS NOT NULL;

CREATE TABLE human_label (              -- a picture whose boxes a person drew or checked; without a box it shows nothing
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    video_id text COLLATE "C" NOT NULL,
    pts_ms bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, video_id, pts_ms)
);

CREATE TABLE human_box (                -- shares of width and height: they fit a picture of any size
    project_id int NOT NULL,
    video_id text COLLATE "C" NOT NULL,
    pts_ms bigint NOT NULL,
    ordinal smallint NOT NULL,
    label text NOT NULL,
    x1 double precision NOT NULL,
    y1 double precision NOT NULL,
    x2 double precision NOT NULL,
    y2 double precision NOT NULL,
    PRIMARY KEY (project_id, video_id, pts_ms, ordinal),
    FOREIGN KEY (project_id, video_id, pts_ms) REFERENCES human_label ON DELETE CASCADE
);

CREATE TABLE forgotten (                -- withdrawn for every project and for ever: `forget`
    video_id text COLLATE "C",
    uploader text,
    at timestamptz NOT NULL DEFAULT now(),
    receipt text NOT NULL,              -- file name below receipts/
    CHECK ((video_id IS NULL) <> (uploader IS NULL)),
    UNIQUE NULLS NOT DISTINCT (video_id, uploader)
);

CREATE INDEX forgotten_uploader ON forgotten (uploader) WHERE uploader IS NOT NULL;

CREATE FUNCTION is_by(v video, who text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
    $$ SELECT who IN (v.uploader_id, v.uploader, v.channel, v.extra ->> 'channel_id') $$;

-- Pictures never to mine again (dedup.against), named by their content.

CREATE TABLE known_set (
    digest text PRIMARY KEY,            -- sha256 over the pictures' own
    path text NOT NULL,                 -- artifact key of a tar of JPEGs
    pictures int NOT NULL
);

CREATE TABLE known_picture (
    digest text NOT NULL REFERENCES known_set ON DELETE CASCADE,
    ordinal int NOT NULL,
    name text NOT NULL,                 -- file name, for people
    phash bigint NOT NULL,
    shard_offset bigint NOT NULL,
    size_bytes int NOT NULL,
    PRIMARY KEY (digest, ordinal)
);

CREATE TABLE known_embedding (
    digest text NOT NULL REFERENCES known_set ON DELETE CASCADE,
    model text NOT NULL,                -- embedding key
    path text NOT NULL,                 -- artifact key of a float32 .npy, a row per ordinal
    PRIMARY KEY (digest, model)
);

-- Why dedup dropped a frame: duplicate (hash), similar (cosine), known (in `against`), rejected (like one that was).
ALTER TABLE project_frame ADD COLUMN dedup_reason text;
UPDATE project_frame SET dedup_reason = 'duplicate' WHERE NOT is_kept;

-- Several detectors may vote: a box that stands carries how many found it, and whose it is.
ALTER TABLE detection ADD COLUMN agreement smallint NOT NULL DEFAULT 1;
ALTER TABLE detection ADD COLUMN model text;          -- null: the only one

CREATE TABLE model_probe (              -- what a model costs on a kind of GPU, measured once
    digest text NOT NULL,
    device text NOT NULL,               -- the card's name
    load_bytes bigint NOT NULL,
    bytes_per_image bigint NOT NULL,
    images_per_second double precision NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (digest, device)
);

-- The boxes that stand: a person's where there is one, else the machine's under the project's present rules.
DROP VIEW project_box;

-- The machine's, on every frame of a project, kept or not. Rules are read out of the plan once, not once a box.
CREATE VIEW machine_box AS
WITH rule AS MATERIALIZED (
    SELECT id, plan #>> '{detect,key}' AS detector, (plan #>> '{detect,params,conf}')::real AS conf,
        coalesce((plan #>> '{detect,params,min_agreement}')::int, 1) AS min_agreement,
        (plan #>> '{detect,params,min_area}')::real AS min_area, (plan #>> '{detect,params,max_area}')::real AS max_area,
        coalesce((plan #>> '{detect,params,min_aspect}')::real, 0) AS min_aspect,
        coalesce((plan #>> '{detect,params,max_aspect}')::real, 'Infinity') AS max_aspect
    FROM project WHERE plan ? 'detect'
), word AS MATERIALIZED (
    SELECT p.id, w.key AS word, w.value AS label FROM project p CROSS JOIN LATERAL jsonb_each_text(p.plan #> '{detect,params,labels}') AS w
)
SELECT pf.project_id, pf.segment_id, pf.pts_ms, pf.is_kept, d.ordinal, word.label, d.prompt, d.score, d.x1, d.y1, d.x2, d.y2,
       d.agreement, d.model
FROM project_frame pf JOIN rule ON rule.id = pf.project_id
JOIN detection d ON d.segment_id = pf.segment_id AND d.pts_ms = pf.pts_ms AND d.detector = rule.detector
JOIN frame f ON f.segment_id = pf.segment_id AND f.pts_ms = pf.pts_ms
JOIN word ON word.id = pf.project_id AND word.word = lower(d.prompt)
WHERE d.score >= rule.conf AND d.agreement >= rule.min_agreement
  AND (d.x2 - d.x1) * (d.y2 - d.y1) / (f.width * f.height) BETWEEN rule.min_area AND rule.max_area
  AND (d.x2 - d.x1) BETWEEN (d.y2 - d.y1) * rule.min_aspect AND (d.y2 - d.y1) * rule.max_aspect;

CREATE VIEW project_box AS
SELECT m.project_id, m.segment_id, m.pts_ms, m.ordinal, m.label, m.prompt, m.score, m.x1, m.y1, m.x2, m.y2, m.agreement, m.model,
       false AS is_human
FROM machine_box m JOIN project_segment ps ON ps.project_id = m.project_id AND ps.segment_id = m.segment_id
LEFT JOIN human_label h ON h.project_id = m.project_id AND h.video_id = ps.video_id AND h.pts_ms = m.pts_ms
WHERE m.is_kept AND h.video_id IS NULL
UNION ALL
SELECT p.id, pf.segment_id, pf.pts_ms, b.ordinal, b.label, '', 1::real,
       (b.x1 * f.width)::real, (b.y1 * f.height)::real, (b.x2 * f.width)::real, (b.y2 * f.height)::real, 1::smallint, NULL, true
FROM project p JOIN human_box b ON b.project_id = p.id
JOIN project_segment ps ON ps.project_id = p.id AND ps.video_id = b.video_id
JOIN project_frame pf ON pf.project_id = p.id AND pf.segment_id = ps.segment_id AND pf.pts_ms = b.pts_ms AND pf.is_kept
JOIN frame f ON f.segment_id = pf.segment_id AND f.pts_ms = pf.pts_ms
WHERE EXISTS (SELECT FROM jsonb_array_elements(p.config -> 'classes') AS class WHERE class ? b.label);

-- How far each frame comes: 1 good, 2 match, 3 unique, 4 with a box; 0 none of these.
CREATE VIEW frame_level AS
SELECT pf.project_id, pf.segment_id, pf.pts_ms, CASE
    WHEN pf.reason = ANY (ARRAY['too_small', 'too_dark', 'too_bright', 'flat', 'too_blurry', 'rejected']) THEN 0
    WHEN pf.reason IS NOT NULL THEN 1 WHEN pf.is_kept IS DISTINCT FROM true THEN 2
    WHEN b.segment_id IS NULL THEN 3 ELSE 4 END AS level
FROM project_frame pf
LEFT JOIN (SELECT DISTINCT project_id, segment_id, pts_ms FROM project_box) AS b
    ON b.project_id = pf.project_id AND b.segment_id = pf.segment_id AND b.pts_ms = pf.pts_ms;
