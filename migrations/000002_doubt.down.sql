DROP INDEX gateway_events_chat_idx;
ALTER TABLE gateway_events DROP COLUMN written_at, DROP COLUMN chat;
ALTER TABLE instances DROP COLUMN in_doubt;
