CREATE INDEX messages_instance_idx ON messages (instance_id, direction, created_at DESC, seq DESC);
DROP INDEX messages_newest_idx;
