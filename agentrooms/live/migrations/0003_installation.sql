-- Whose database this is: one row, which no other installation may take.
CREATE TABLE installation (
    id text COLLATE "C" NOT NULL,
    single boolean PRIMARY KEY DEFAULT true CHECK (single)
);
