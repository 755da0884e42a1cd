-- Where people want to be told what. A secret is here because we sign with it; its owner saw it once.
CREATE TABLE webhooks (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    url text COLLATE "C" NOT NULL,
    secret text COLLATE "C" NOT NULL,
    events text[] NOT NULL,
    active boolean NOT NULL DEFAULT true,
    dead_in_a_row integer NOT NULL DEFAULT 0,
    last_status integer, -- of HTTP; none when there was no answer
    last_at_ms bigint,
    created_at_ms bigint NOT NULL
);
CREATE INDEX webhooks_by_user ON webhooks (user_id, created_at_ms);
-- One address a user. It counts once the code that was mailed to it has come back; only the code's hash is here.
CREATE TABLE emails (
    user_id text COLLATE "C" PRIMARY KEY,
    address text COLLATE "C" NOT NULL,
    events text[] NOT NULL,
    confirmed_at_ms bigint,
    code_sha256 bytea,
    code_expires_at_ms bigint,
    code_tries integer NOT NULL DEFAULT 0,
    codes_day bigint NOT NULL DEFAULT 0, -- days since 1970
    codes_asked integer NOT NULL DEFAULT 0, -- on that day
    created_at_ms bigint NOT NULL,
    CHECK ((code_sha256 IS NULL) = (code_expires_at_ms IS NULL))
);
CREATE INDEX emails_by_address ON emails (lower(address));
-- What a person was told. All of it is public but that it concerns this user.
CREATE TABLE notifications (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    user_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    room text COLLATE "C" NOT NULL,
    deal text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    facts text NOT NULL, -- JSON
    created_at_ms bigint NOT NULL,
    read_at_ms bigint
);
CREATE INDEX notifications_by_user ON notifications (user_id, number);
