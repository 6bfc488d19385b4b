-- A list of all instances looks at a page's worth of each, and keeps few of them:
-- with their ids in the index it need not read the rows that it does not keep. What
-- comes last is the last of its instance here, and not the first as before: then
-- PostgreSQL fills each page of the index, where it left half of each empty.
CREATE INDEX messages_newest_idx ON messages (instance_id, direction, created_at, seq) INCLUDE (id);
DROP INDEX messages_instance_idx;
