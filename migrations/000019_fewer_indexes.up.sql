-- Each entry in an index is a fortieth of what accepting and settling a message cost. One
-- index now serves both who sends what waits, by priority, and who lists what is open, by time.
DROP INDEX messages_open_idx;
DROP INDEX messages_waiting_idx;
CREATE INDEX messages_waiting_idx ON messages (instance_id, priority, created_at, seq) WHERE settled_at IS NULL AND seq > 0;

-- Most messages are settled as soon as they are accepted, and are found by when that
-- was: an index by when they were settled is for the others alone.
DROP INDEX messages_settled_idx;
CREATE INDEX messages_late_idx ON messages (settled_at) WHERE settled_at - created_at > interval '1 minute' AND direction = 'outbound';
