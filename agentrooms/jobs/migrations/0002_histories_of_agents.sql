-- How an agent did is public and found by its id alone: whose it was is said by the log and the read models.
ALTER TABLE agent_history DROP COLUMN user_id;
