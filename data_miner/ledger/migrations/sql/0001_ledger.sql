-- The ledger: what is wanted, what is known, what is being done. Keys name pixels and numbers by what they were
-- made from; verdicts are derived from stored numbers and the project's present thresholds (DESIGN §4).

CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);

-- Projects -----------------------------------------------------------------------------------------------------

CREATE TABLE project (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    config jsonb NOT NULL,              -- the effective configuration, one at a time
    config_hash text NOT NULL,
    plan jsonb NOT NULL,                -- stage -> {key, runtime_key, params}: what its jobs run with
    video_limit int,                    -- run --limit: only the first N videos in data order are asked for
    is_paused boolean NOT NULL DEFAULT false,
    content_hash text,                  -- of the newest dataset version
    version int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE admission (                -- its row is a project's turn: who derives, judges or admits locks it first
    project_id int PRIMARY KEY REFERENCES project ON DELETE CASCADE,
    dedup_version bigint NOT NULL DEFAULT 0,   -- every admission compares and sets it
    moves bigint NOT NULL DEFAULT 0     -- how often something was moved to the end of the data order
);

CREATE TABLE project_config (
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    hash text NOT NULL,
    config jsonb NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, hash)
);

CREATE TABLE follower (                 -- a living `run` that follows a project
    id uuid PRIMARY KEY,
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    config_hash text NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    pid_started double precision NOT NULL,
    renewed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE supervisor (               -- one row: who scales the pools
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    holder uuid,
    epoch bigint NOT NULL DEFAULT 0,
    host text,
    pid int,
    pid_started double precision,
    dashboard text,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    scaling jsonb                       -- the last snapshot and decision, for status --scaling
);
INSERT INTO supervisor DEFAULT VALUES;

-- Sources and videos -------------------------------------------------------------------------------------------

CREATE TABLE source (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    ordinal int NOT NULL,               -- file order, given at registration
    kind text NOT NULL,                 -- search | url | folder
    locator text NOT NULL,
    site text,
    moved bigint NOT NULL DEFAULT 0,    -- held up from outside once: goes to the end
    is_held boolean NOT NULL DEFAULT false,   -- blocked or dead: holds nobody up
    expanded_at timestamptz,
    UNIQUE (project_id, kind, locator)
);

CREATE TABLE video (
    id text COLLATE "C" PRIMARY KEY,                -- <extractor>:<native id>
    url text NOT NULL,
    site text,
    title text NOT NULL DEFAULT '',
    uploader text NOT NULL DEFAULT '',
    uploader_id text NOT NULL DEFAULT '',
    channel text NOT NULL DEFAULT '',
    license text NOT NULL DEFAULT '',
    upload_date text NOT NULL DEFAULT '',
    duration_s double precision,
    tags text[] NOT NULL DEFAULT '{}',
    extra jsonb NOT NULL DEFAULT '{}',
    metadata_at timestamptz,            -- when its page was read; null: only what a listing showed
    skipped text,                       -- gone private members_only geo age: the site does not give it
    skipped_at timestamptz
);
CREATE INDEX video_skipped ON video (site, skipped_at) WHERE skipped IS NOT NULL;

CREATE TABLE source_video (
    source_id bigint NOT NULL REFERENCES source ON DELETE CASCADE,
    video_id text COLLATE "C" NOT NULL REFERENCES video,
    rank int NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, video_id)
);
CREATE INDEX source_video_video ON source_video (video_id);

CREATE TABLE "fetch" (                    -- video × download key
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video_id text COLLATE "C" NOT NULL REFERENCES video,
    key text NOT NULL,
    max_height int,                     -- px asked for; null: as it is
    path text,                          -- artifact key, or file:///… for a referenced local file; null: not here
    sha256 text,
    size_bytes bigint,
    width int,
    height int,
    codec text,
    average_fps double precision,
    first_pts_ms bigint,
    duration_ms bigint,
    fetched_at timestamptz,
    UNIQUE (video_id, key)
);

CREATE TABLE project_video (
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    video_id text COLLATE "C" NOT NULL REFERENCES video,
    source_id bigint NOT NULL REFERENCES source ON DELETE CASCADE,  -- of several the smallest (ordinal, rank)
    moved bigint NOT NULL DEFAULT 0,
    ordinal int NOT NULL,
    rank int NOT NULL,
    fetch_id bigint REFERENCES "fetch",
    judged text,                        -- policy and state of the metadata it was judged by
    reason text,                        -- not given: gone private …; dropped: keyword too_long too_short …
    is_held boolean NOT NULL DEFAULT false,   -- blocked or dead from outside: holds nobody up
    is_cut boolean NOT NULL DEFAULT false,    -- its segments are in project_segment
    split text,                         -- train | val, drawn once
    PRIMARY KEY (project_id, video_id)
);
CREATE INDEX project_video_order ON project_video (project_id, moved, ordinal, rank, video_id) WHERE reason IS NULL;
CREATE INDEX project_video_uncut ON project_video (project_id, moved, ordinal, rank, video_id)
    WHERE reason IS NULL AND NOT is_cut AND NOT is_held AND fetch_id IS NOT NULL;
CREATE INDEX project_video_unfetched ON project_video (project_id, moved, ordinal, rank, video_id)
    WHERE reason IS NULL AND NOT is_cut AND NOT is_held AND fetch_id IS NULL;
CREATE INDEX project_video_held ON project_video (project_id) WHERE is_held;
CREATE INDEX project_video_source ON project_video (source_id);
CREATE INDEX project_video_video ON project_video (video_id);
CREATE INDEX project_video_fetch ON project_video (fetch_id);

CREATE TABLE segment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fetch_id bigint NOT NULL REFERENCES "fetch",
    key text NOT NULL,                  -- extract key
    start_ms bigint NOT NULL,
    end_ms bigint NOT NULL,
    max_frames int,
    shard text,                         -- artifact key of the tar of JPEGs; null: not extracted (any more)
    shard_sha256 text,
    shard_bytes bigint,
    dropped_max_frames int NOT NULL DEFAULT 0,
    is_truncated boolean NOT NULL DEFAULT false,
    UNIQUE (fetch_id, key, start_ms)
);

CREATE INDEX segment_unextracted ON segment (id) WHERE shard IS NULL;

CREATE TABLE frame (
    segment_id bigint NOT NULL REFERENCES segment,
    pts_ms bigint NOT NULL,
    shard_offset bigint NOT NULL,
    size_bytes int NOT NULL,
    width int NOT NULL,
    height int NOT NULL,
    sharpness real NOT NULL,
    brightness real NOT NULL,
    contrast real NOT NULL,
    phash bigint NOT NULL,              -- the 64 bits, as a signed number
    PRIMARY KEY (segment_id, pts_ms)
);

CREATE TABLE embedding (                -- frames of a segment under a model; a later part adds frames that newly passed
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    segment_id bigint NOT NULL REFERENCES segment,
    model text NOT NULL,                -- embedding key
    pts_ms bigint[] NOT NULL,           -- row i of the array belongs to pts_ms[i]
    path text NOT NULL,                 -- artifact key of a float32 .npy
    UNIQUE (segment_id, model, path)
);

CREATE TABLE project_segment (
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    segment_id bigint NOT NULL REFERENCES segment,
    video_id text COLLATE "C" NOT NULL REFERENCES video,
    moved bigint NOT NULL DEFAULT 0,
    ordinal int NOT NULL,
    rank int NOT NULL,
    start_ms bigint NOT NULL,
    filtered text,                      -- filter key its verdicts are under; null: none under the present one yet
    is_held boolean NOT NULL DEFAULT false,      -- dead on the way: holds nobody up
    is_decided boolean NOT NULL DEFAULT false,   -- dedup has spoken on it and on all before it
    PRIMARY KEY (project_id, segment_id),
    FOREIGN KEY (project_id, video_id) REFERENCES project_video ON DELETE CASCADE,
    CHECK (filtered IS NOT NULL OR NOT is_decided)
);
CREATE INDEX project_segment_order ON project_segment (project_id, moved, ordinal, rank, video_id, start_ms);
CREATE INDEX project_segment_undecided ON project_segment
    (project_id, moved, ordinal, rank, video_id, start_ms) WHERE NOT is_decided AND NOT is_held;
CREATE INDEX project_segment_unfiltered ON project_segment (project_id) WHERE filtered IS NULL;
CREATE INDEX project_segment_held ON project_segment (project_id) WHERE is_held;
CREATE INDEX project_segment_segment ON project_segment (segment_id);
CREATE INDEX project_segment_video ON project_segment (project_id, video_id);

CREATE TABLE frame_score (
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    segment_id bigint NOT NULL,
    pts_ms bigint NOT NULL,
    key text NOT NULL,                  -- filter key: model digest and prompts
    positive real NOT NULL,
    positive_prompt text NOT NULL,
    negative real,
    negative_prompt text,
    junk real,
    junk_prompt text,
    PRIMARY KEY (segment_id, project_id, pts_ms),   -- the segment first: what refers to a frame is found by it
    FOREIGN KEY (segment_id, pts_ms) REFERENCES frame ON DELETE CASCADE
);

CREATE TABLE project_frame (            -- the verdict: derived, never a source of truth
    project_id int NOT NULL REFERENCES project ON DELETE CASCADE,
    segment_id bigint NOT NULL,
    pts_ms bigint NOT NULL,
    reason text,                        -- filter's reason word; null: passed
    is_kept boolean,                    -- dedup; null: undecided
    representative_segment_id bigint,   -- the kept frame that it is a duplicate of
    representative_pts_ms bigint,
    PRIMARY KEY (segment_id, project_id, pts_ms),   -- the segment first: what refers to a frame is found by it
    FOREIGN KEY (segment_id, pts_ms) REFERENCES frame ON DELETE CASCADE
);
CREATE INDEX project_frame_kept ON project_frame (project_id, segment_id, pts_ms) WHERE is_kept;

CREATE TABLE detection_run (            -- a frame without a box has a row too
    segment_id bigint NOT NULL,
    pts_ms bigint NOT NULL,
    detector text NOT NULL,             -- detector key
    PRIMARY KEY (segment_id, pts_ms, detector),
    FOREIGN KEY (segment_id, pts_ms) REFERENCES frame ON DELETE CASCADE
);

CREATE TABLE detection (
    segment_id bigint NOT NULL,
    pts_ms bigint NOT NULL,
    detector text NOT NULL,
    ordinal smallint NOT NULL,          -- best score first
    prompt text NOT NULL,               -- the detector's word; the project's classes map it to a label
    score real NOT NULL,
    x1 real NOT NULL,                   -- px of the stored picture
    y1 real NOT NULL,
    x2 real NOT NULL,
    y2 real NOT NULL,
    PRIMARY KEY (segment_id, pts_ms, detector, ordinal),
    FOREIGN KEY (segment_id, pts_ms, detector) REFERENCES detection_run ON DELETE CASCADE
);

CREATE TABLE model (
    name text NOT NULL,
    role text NOT NULL,                 -- filter | dedup | detect
    digest text NOT NULL,
    resolved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, role, digest)
);

-- Work ---------------------------------------------------------------------------------------------------------

CREATE TABLE worker (
    id uuid PRIMARY KEY,                -- new with every process start
    pool text NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    pid_started double precision NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    gone_at timestamptz
);
CREATE INDEX worker_living ON worker (host) WHERE gone_at IS NULL;

CREATE TABLE job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage text NOT NULL,                -- expand download extract filter dedup detect
    source_id bigint REFERENCES source ON DELETE CASCADE,
    fetch_id bigint REFERENCES "fetch",
    segment_id bigint REFERENCES segment,
    project_id int REFERENCES project ON DELETE CASCADE,
    video_id text COLLATE "C" REFERENCES video,     -- whose row finish locks first
    key text NOT NULL,                  -- the stage key it is to be done under
    runtime_key text NOT NULL DEFAULT '',
    site text,
    moved bigint NOT NULL DEFAULT 0,    -- place in the data order; a shared job has the smallest that wants it
    ordinal int NOT NULL DEFAULT 0,
    rank int NOT NULL DEFAULT 0,
    start_ms bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'done', 'dead', 'blocked', 'superseded')),
    not_before timestamptz,             -- a retry's; the sweep clears it when its time has come
    attempt int NOT NULL DEFAULT 0,     -- counts claims, fences
    failures int NOT NULL DEFAULT 0,    -- failed attempts that count
    deaths int NOT NULL DEFAULT 0,      -- of workers that had it in process
    lease uuid,
    worker_id uuid REFERENCES worker,
    is_started boolean NOT NULL DEFAULT false,   -- in process, not only loaded ahead
    progress bigint NOT NULL DEFAULT 0,
    progress_at timestamptz,            -- when progress last changed
    expires_at timestamptz,
    reason text,
    detail text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (stage, source_id, fetch_id, segment_id, project_id)
) WITH (fillfactor = 80);
-- The claim walks these two and nothing else: running, finished, sleeping and blocked work is not in them.
CREATE INDEX job_claim ON job (stage, runtime_key, deaths, moved, ordinal, rank, start_ms, id)
    WHERE state = 'waiting' AND not_before IS NULL AND site IS NULL;
CREATE INDEX job_claim_site ON job (stage, site, deaths, moved, ordinal, rank, start_ms, id)
    WHERE state = 'waiting' AND not_before IS NULL AND site IS NOT NULL;
CREATE INDEX job_asleep ON job (not_before) WHERE state = 'waiting' AND not_before IS NOT NULL;
-- No column that a heartbeat writes is indexed, and pages have room: it touches the row alone.
CREATE INDEX job_worker ON job (worker_id) WHERE state = 'running';
CREATE INDEX job_stuck ON job (state, site, changed_at, moved, ordinal, rank) WHERE state IN ('blocked', 'dead');
-- What progress is counted from: as long as the work that is left, however much is done.
CREATE INDEX job_open ON job (project_id, stage, state) WHERE state IN ('waiting', 'running', 'blocked', 'dead');
CREATE INDEX job_project ON job (project_id, stage, state);
CREATE INDEX job_fetch ON job (fetch_id);
CREATE INDEX job_segment ON job (segment_id);
CREATE INDEX job_source ON job (source_id);
CREATE INDEX job_video ON job (video_id);

CREATE TABLE job_event (                -- what did not go straight
    job_id bigint NOT NULL REFERENCES job ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    attempt int NOT NULL,
    event text NOT NULL,                -- retry dead blocked expired died released
    reason text,
    detail text,
    worker_id uuid
);
CREATE INDEX job_event_job ON job_event (job_id, at);

CREATE TABLE site (
    name text PRIMARY KEY,
    sleep_interval double precision NOT NULL,      -- s between two videos, whole cluster
    max_sleep_interval double precision NOT NULL,
    sleep_requests double precision NOT NULL,      -- s between page requests
    max_downloads int,                             -- a day
    trial_interval double precision NOT NULL,      -- s between trial jobs of a shut site
    slowdown double precision NOT NULL DEFAULT 1,  -- doubled by a block, halved back by each quiet day
    slowed_at timestamptz,
    next_request_at timestamptz NOT NULL DEFAULT '-infinity',
    next_download_at timestamptz NOT NULL DEFAULT '-infinity',
    day date NOT NULL DEFAULT current_date,
    downloads_today int NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'shut', 'trial')),
    reason text,
    detail text,
    since timestamptz,
    next_try timestamptz,
    trial_job bigint,                   -- the one job that may ask while the state is trial
    streak int NOT NULL DEFAULT 0,      -- suspect answers in a row
    streak_reason text,
    last_success_at timestamptz
);

CREATE TABLE batch_stat (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    job_id bigint,
    project_id int,
    stage text NOT NULL,
    worker_id uuid,
    device text NOT NULL DEFAULT 'cpu',
    items int NOT NULL,
    size_bytes bigint NOT NULL DEFAULT 0,
    seconds jsonb NOT NULL DEFAULT '{}',    -- by step
    vram_bytes bigint
);
CREATE INDEX batch_stat_stage ON batch_stat (stage, at);

-- Views: users' questions ----------------------------------------------------------------------------------------

CREATE VIEW project_box AS              -- stored boxes under the project's present conf, classes and size rules
SELECT p.id AS project_id, pf.segment_id, pf.pts_ms, d.ordinal, word.value AS label, d.prompt, d.score,
       d.x1, d.y1, d.x2, d.y2
FROM project p JOIN project_frame pf ON pf.project_id = p.id AND pf.is_kept
JOIN frame f ON f.segment_id = pf.segment_id AND f.pts_ms = pf.pts_ms
JOIN detection d ON d.segment_id = f.segment_id AND d.pts_ms = f.pts_ms AND d.detector = p.plan #>> '{detect,key}'
JOIN LATERAL jsonb_each_text(p.plan #> '{detect,params,labels}') AS word ON word.key = lower(d.prompt)
WHERE d.score >= (p.plan #>> '{detect,params,conf}')::real
  AND (d.x2 - d.x1) * (d.y2 - d.y1) / (f.width * f.height)
      BETWEEN (p.plan #>> '{detect,params,min_area}')::real AND (p.plan #>> '{detect,params,max_area}')::real;

CREATE VIEW project_job AS              -- a project's share of the work: shared stages count its own videos only
SELECT j.project_id, j.stage, j.state, j.reason, j.video_id, j.site FROM job j WHERE j.project_id IS NOT NULL
UNION ALL
SELECT pv.project_id, j.stage, j.state, j.reason, j.video_id, j.site
FROM project_video pv JOIN job j ON j.fetch_id = pv.fetch_id WHERE pv.reason IS NULL
UNION ALL
SELECT ps.project_id, j.stage, j.state, j.reason, j.video_id, j.site
FROM project_segment ps JOIN job j ON j.segment_id = ps.segment_id AND j.stage = 'extract';

CREATE VIEW failures AS
SELECT p.name AS project, j.stage, j.reason, count(*) AS jobs
FROM project_job j JOIN project p ON p.id = j.project_id WHERE j.state = 'dead' GROUP BY 1, 2, 3;

CREATE VIEW yield_per_source AS
SELECT p.name AS project, s.ordinal, s.locator, count(DISTINCT pv.video_id) AS videos,
       count(*) FILTER (WHERE pf.is_kept) AS images
FROM source s JOIN project p ON p.id = s.project_id
LEFT JOIN project_video pv ON pv.source_id = s.id
LEFT JOIN project_segment ps ON ps.project_id = pv.project_id AND ps.video_id = pv.video_id
LEFT JOIN project_frame pf ON pf.project_id = ps.project_id AND pf.segment_id = ps.segment_id
GROUP BY 1, 2, 3;

CREATE VIEW seconds_by_step AS
SELECT stage, step.key AS step, count(*) AS batches, sum(items) AS items, sum(step.value::float) AS seconds
FROM batch_stat, jsonb_each_text(seconds) AS step GROUP BY 1, 2;
