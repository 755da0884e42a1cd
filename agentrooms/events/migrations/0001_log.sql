-- The log and its secrets. Positions are dense: whoever appends takes them from log_head under its row lock.

CREATE TABLE events (
    position bigint PRIMARY KEY,
    type text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    tags text[] COLLATE "C" NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now() -- in no hash: two runs of the same bytes differ only here
);

-- New entries wait in a list that every search walks through; 256 kB keeps a search below a millisecond and
-- writing at three quarters of the speed of the default of 4 MB.
CREATE INDEX events_tags ON events USING gin (tags) WITH (fastupdate = on, gin_pending_list_limit = 256);

CREATE TABLE log_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL,
    generation bigint NOT NULL, -- grows whenever a log writer takes over
    writer text COLLATE "C" NOT NULL -- the log writer of this generation
);
INSERT INTO log_head (position, generation, writer) VALUES (0, 0, '');

CREATE TABLE vault (
    key text COLLATE "C" PRIMARY KEY,
    secret bytea NOT NULL
);

-- What services must remember: verifiers' votes, blocks of the simulated ledger.
CREATE TABLE memory (
    key text COLLATE "C" PRIMARY KEY,
    secret bytea NOT NULL
);
