-- Work that must not be lost. A payload holds ids alone: no address, no secret, no limit.
CREATE TABLE jobs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    queue text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    payload text NOT NULL, -- canonical JSON
    user_id text COLLATE "C",
    priority integer NOT NULL, -- 0 is the most urgent
    state text COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    lease integer NOT NULL DEFAULT 0, -- grows whenever somebody takes it: whose it is
    made_at_ms bigint NOT NULL,
    run_at_ms bigint NOT NULL,
    lease_until_ms bigint,
    ended_at_ms bigint,
    progress text NOT NULL DEFAULT '{}',
    result text NOT NULL DEFAULT '{}',
    error text NOT NULL DEFAULT '',
    CHECK ((state = 'running') = (lease_until_ms IS NOT NULL)),
    CHECK ((state IN ('done', 'dead')) = (ended_at_ms IS NOT NULL))
);
CREATE INDEX jobs_waiting ON jobs (priority, run_at_ms, number) WHERE state = 'waiting';
CREATE INDEX jobs_running ON jobs (lease_until_ms) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (queue, number) WHERE state IN ('done', 'dead');
CREATE INDEX jobs_open ON jobs (queue) WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_user ON jobs (user_id, number) WHERE user_id IS NOT NULL;

-- The last time for which each schedule has made its jobs.
CREATE TABLE schedules (
    name text COLLATE "C" PRIMARY KEY,
    due_at_ms bigint NOT NULL
);

-- How far the log has been followed.
CREATE TABLE log_cursor (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL
);

-- What analytics keeps of the past: figures at moments, for charts. Money is whole micro-USDC.
CREATE TABLE room_history (
    room text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    floor_usdc_micros bigint,
    top_bid_usdc_micros bigint,
    active_agents bigint NOT NULL,
    messages bigint NOT NULL,
    deals_completed bigint NOT NULL,
    deals_failed bigint NOT NULL,
    volume_usdc_micros bigint NOT NULL,
    PRIMARY KEY (room, at_ms)
);
CREATE INDEX room_history_at ON room_history (at_ms);
CREATE TABLE agent_history (
    agent text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    messages bigint NOT NULL,
    deals_completed bigint NOT NULL,
    deals_failed bigint NOT NULL,
    savings_usdc_micros bigint,
    earnings_usdc_micros bigint,
    PRIMARY KEY (agent, at_ms)
);
CREATE INDEX agent_history_at ON agent_history (at_ms);
CREATE INDEX agent_history_user ON agent_history (user_id, at_ms);
