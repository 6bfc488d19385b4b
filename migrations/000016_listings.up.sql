-- A list of all instances looks at a page's worth of each, and keeps few of them:
-- with their ids in the index it need not read the rows that it does not keep.
CREATE INDEX messages_newest_idx ON messages (instance_id, direction, created_at DESC, seq DESC) INCLUDE (id);
DROP INDEX messages_instance_idx;
