-- Who has signed in and was not erased since: they are told things also while no session of theirs is open.
CREATE TABLE people (
    user_id text COLLATE "C" PRIMARY KEY,
    since_ms bigint NOT NULL
);
INSERT INTO people SELECT user_id, min(created_at_ms) FROM (
    SELECT user_id, created_at_ms FROM sessions
    UNION ALL SELECT user_id, created_at_ms FROM webhooks
    UNION ALL SELECT user_id, created_at_ms FROM emails
    UNION ALL SELECT user_id, created_at_ms FROM notifications
) AS known GROUP BY user_id;
