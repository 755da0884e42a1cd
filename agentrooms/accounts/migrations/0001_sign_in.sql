-- Texts given to wallets to sign. A row goes with its first use, whatever comes of it.
CREATE TABLE challenges (
    nonce text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    wallet text COLLATE "C" NOT NULL,
    domain text NOT NULL,
    chain_id bigint NOT NULL,
    message text NOT NULL,
    expires_at_ms bigint NOT NULL
);
CREATE INDEX challenges_by_user ON challenges (user_id, expires_at_ms);
CREATE INDEX challenges_by_end ON challenges (expires_at_ms);
-- Who is signed in: a family of refresh tokens a row, of which one holds. No token is here, only hashes.
CREATE TABLE sessions (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    wallet text COLLATE "C" NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL,
    token_sha256 bytea NOT NULL,     -- of the one that holds
    previous_sha256 bytea,           -- of the one before; none before the first use
    salt bytea,                      -- with it the one before gives the one that holds
    rotated_at_ms bigint,
    CHECK ((previous_sha256 IS NULL) = (salt IS NULL)),
    CHECK ((previous_sha256 IS NULL) = (rotated_at_ms IS NULL))
);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at_ms);
CREATE INDEX sessions_by_end ON sessions (expires_at_ms);
-- Answers to requests with an idempotency key, sealed: they may hold a limit. No answer: the request is being done.
CREATE TABLE idempotency (
    user_id text COLLATE "C" NOT NULL,
    key_mac bytea NOT NULL,
    request_mac bytea NOT NULL,
    owner text COLLATE "C" NOT NULL, -- who does it, until the lease ends
    lease_until_ms bigint NOT NULL,
    answer bytea,
    begun_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL,
    PRIMARY KEY (user_id, key_mac)
);
CREATE INDEX idempotency_by_user ON idempotency (user_id, begun_at_ms);
CREATE INDEX idempotency_by_end ON idempotency (expires_at_ms);
