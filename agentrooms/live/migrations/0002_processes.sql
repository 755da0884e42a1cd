-- What each process of the system said of itself when it was last asked; rewritten every few seconds.
CREATE TABLE processes (
    name text COLLATE "C" PRIMARY KEY,
    seen_at timestamptz NOT NULL,   -- when it last answered
    asked_at timestamptz NOT NULL,  -- when it was last asked
    starts integer NOT NULL,        -- how many processes have had the name
    health jsonb NOT NULL
);
