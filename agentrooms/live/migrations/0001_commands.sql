-- Commands of people on their way to the desk. A body may hold a limit, so it is kept only until its answer.
CREATE TABLE commands (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    body bytea,
    body_sha256 text NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'refused')),
    answer bytea,
    answered_at timestamptz,
    CHECK ((state = 'open') = (answer IS NULL)),
    CHECK ((state = 'open') = (body IS NOT NULL))
);
CREATE INDEX commands_open ON commands (number) WHERE state = 'open';
CREATE INDEX commands_answered ON commands (number) WHERE state <> 'open';
