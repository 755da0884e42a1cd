-- Tables of the read schema. Their columns are declared, with meanings, in projections/read_rows.py.
-- Ids are derived texts, money is whole micro-USDC, times are milliseconds since 1970.
-- No foreign keys: rows are written by one projector from a log that has been checked, and every key stands in the log.

CREATE TABLE cursor (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL DEFAULT 0, -- last event of the log that the tables hold
    epoch bigint NOT NULL DEFAULT 0, -- grows by one with every rebuild
    failed_position bigint, -- event that could not be projected: the projection stands before it
    failure text
);
INSERT INTO cursor DEFAULT VALUES;

CREATE TABLE users (
    user_id text COLLATE "C" NOT NULL,
    wallet text COLLATE "C" NOT NULL UNIQUE,
    budget_usdc_micros bigint,
    registered_at_ms bigint,
    PRIMARY KEY (user_id)
);

CREATE TABLE nfts (
    nft_id text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    token_id text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    traits jsonb,
    owner text COLLATE "C",
    minted_at_ms bigint,
    PRIMARY KEY (nft_id),
    UNIQUE (collection, token_id)
);

CREATE TABLE rooms (
    room text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    comparable_by text COLLATE "C" NOT NULL,
    base_grade text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    close_reason text COLLATE "C",
    quote_rounds bigint NOT NULL,
    round_ms bigint NOT NULL,
    started_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    round bigint NOT NULL,
    seq bigint NOT NULL,
    floor_usdc_micros bigint,
    top_bid_usdc_micros bigint,
    active_buyers bigint NOT NULL,
    active_sellers bigint NOT NULL,
    agents bigint NOT NULL,
    messages bigint NOT NULL,
    deals bigint NOT NULL,
    deals_completed bigint NOT NULL,
    deals_failed bigint NOT NULL,
    volume_usdc_micros bigint NOT NULL,
    last_price_usdc_micros bigint,
    PRIMARY KEY (room)
);

CREATE TABLE swarms (
    swarm text COLLATE "C" NOT NULL,
    room text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    preset text COLLATE "C" NOT NULL,
    buyers bigint NOT NULL,
    sellers bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    speed bigint NOT NULL,
    started_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    PRIMARY KEY (swarm)
);

CREATE TABLE agents (
    room text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    strategy text COLLATE "C" NOT NULL,
    style text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    token_id text COLLATE "C",
    grade text COLLATE "C" NOT NULL,
    wants text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    joined_event bigint NOT NULL,
    joined_round bigint NOT NULL,
    left_round bigint,
    left_reason text COLLATE "C",
    messages bigint NOT NULL,
    quotes bigint NOT NULL,
    accepts bigint NOT NULL,
    refusals bigint NOT NULL,
    overtaken bigint NOT NULL,
    first_price_usdc_micros bigint,
    last_price_usdc_micros bigint,
    failed_deals bigint NOT NULL,
    deal text COLLATE "C",
    deal_price_usdc_micros bigint,
    counterpart text COLLATE "C",
    user_id text COLLATE "C" NOT NULL,
    avatar text COLLATE "C" NOT NULL,
    swarm text COLLATE "C",
    nft_id text COLLATE "C",
    joined_at_ms bigint NOT NULL,
    left_at_ms bigint,
    spoke_at_ms bigint,
    bound_by text COLLATE "C",
    negotiation_ms bigint,
    PRIMARY KEY (agent)
);

CREATE TABLE deals (
    room text COLLATE "C" NOT NULL,
    deal text COLLATE "C" NOT NULL,
    token_id text COLLATE "C" NOT NULL,
    grade text COLLATE "C" NOT NULL,
    buyer text COLLATE "C" NOT NULL,
    seller text COLLATE "C" NOT NULL,
    price_usdc_micros bigint NOT NULL,
    quote text COLLATE "C" NOT NULL,
    aggressor text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    floor_usdc_micros bigint,
    top_bid_usdc_micros bigint,
    price_over_floor_usdc_micros bigint,
    locked_event bigint NOT NULL,
    locked_seq bigint NOT NULL,
    locked_at_ms bigint NOT NULL,
    locked_round bigint NOT NULL,
    verifying_round bigint,
    certified_round bigint,
    submitted_round bigint,
    ended_round bigint,
    rounds_to_lock bigint NOT NULL,
    rounds_to_end bigint,
    decision text COLLATE "C",
    approvals bigint,
    rejections bigint,
    fail_reason text COLLATE "C",
    fail_detail text COLLATE "C",
    at_fault text COLLATE "C",
    tx_hash text COLLATE "C",
    block bigint,
    collection text COLLATE "C" NOT NULL,
    nft_id text COLLATE "C" NOT NULL,
    item_name text COLLATE "C" NOT NULL,
    buyer_wallet text COLLATE "C" NOT NULL,
    seller_wallet text COLLATE "C" NOT NULL,
    buyer_user_id text COLLATE "C" NOT NULL,
    seller_user_id text COLLATE "C" NOT NULL,
    buyer_swarm text COLLATE "C",
    seller_swarm text COLLATE "C",
    chain_id bigint NOT NULL,
    escrow text COLLATE "C" NOT NULL,
    set_version bigint NOT NULL,
    deal_hash text COLLATE "C" NOT NULL,
    deadline_ms bigint NOT NULL,
    time_to_deal_ms bigint NOT NULL,
    certified_at_ms bigint,
    ended_at_ms bigint,
    block_hash text COLLATE "C",
    status text COLLATE "C" NOT NULL GENERATED ALWAYS AS (CASE state WHEN 'executing' THEN 'verifying' ELSE state END) STORED,
    PRIMARY KEY (deal)
);

CREATE TABLE deal_votes (
    deal text COLLATE "C" NOT NULL,
    verifier text COLLATE "C" NOT NULL,
    decision text COLLATE "C" NOT NULL,
    signature text COLLATE "C" NOT NULL,
    reasons text COLLATE "C" NOT NULL,
    block bigint NOT NULL,
    at_ms bigint NOT NULL,
    annex_signature text COLLATE "C" NOT NULL,
    PRIMARY KEY (deal, verifier)
);

CREATE TABLE messages (
    room text COLLATE "C" NOT NULL,
    event bigint NOT NULL,
    seq bigint NOT NULL,
    round bigint NOT NULL,
    at_ms bigint NOT NULL,
    agent text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    act text COLLATE "C" NOT NULL,
    price_usdc_micros bigint,
    quote text COLLATE "C",
    refers_to text COLLATE "C",
    "to" text COLLATE "C",
    token_id text COLLATE "C",
    mood text COLLATE "C" NOT NULL,
    wording text COLLATE "C" NOT NULL,
    text text COLLATE "C" NOT NULL,
    sentiment text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE mood WHEN 'calm' THEN 'neutral' WHEN 'annoyed' THEN 'negative' WHEN 'desperate' THEN 'negative' ELSE 'positive' END
    ) STORED,
    PRIMARY KEY (room, seq)
);

CREATE TABLE floor_path (
    room text COLLATE "C" NOT NULL,
    event bigint NOT NULL,
    seq bigint NOT NULL,
    round bigint NOT NULL,
    at_ms bigint NOT NULL,
    grade text COLLATE "C" NOT NULL,
    floor_usdc_micros bigint,
    top_bid_usdc_micros bigint,
    spread_usdc_micros bigint,
    PRIMARY KEY (room, seq)
);
