DROP INDEX messages_late_idx;
CREATE INDEX messages_settled_idx ON messages (settled_at) WHERE settled_at IS NOT NULL AND direction = 'outbound';

DROP INDEX messages_waiting_idx;
CREATE INDEX messages_waiting_idx ON messages (instance_id, priority, seq) WHERE settled_at IS NULL AND seq > 0;
CREATE INDEX messages_open_idx ON messages (instance_id, created_at DESC, seq DESC) WHERE settled_at IS NULL AND created_at > '-infinity';
