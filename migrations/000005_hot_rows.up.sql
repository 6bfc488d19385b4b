-- A message is updated several times in its first minutes: claimed, settled,
-- delivered, read. Room for that in its page saves an entry in every index each
-- time (HOT).
ALTER TABLE messages SET (fillfactor = 50);

-- Words are found once a message is settled, so that they enter the index once
-- and not with every change before. Open messages are few, and searched without.
DROP INDEX messages_text_idx;
CREATE INDEX messages_text_idx ON messages USING gin (to_tsvector('simple', text)) WHERE settled_at IS NOT NULL AND text IS NOT NULL;

-- Looked up by what tells rows apart, first.
DROP INDEX messages_idempotency_key;
CREATE UNIQUE INDEX messages_idempotency_key ON messages (idempotency_key, instance_id) WHERE idempotency_key IS NOT NULL;
DROP INDEX messages_gateway_message_key;
CREATE UNIQUE INDEX messages_gateway_message_key ON messages (gateway_message_id, instance_id, chat_id) WHERE gateway_message_id IS NOT NULL;
ALTER TABLE chats DROP CONSTRAINT chats_jid_key;
ALTER TABLE chats ADD CONSTRAINT chats_jid_key UNIQUE (jid, instance_id);

-- While no message is open, every index of open messages is empty, the planner
-- takes any of them for as good, and a prepared statement keeps what it took. So
-- each is only for statements that name its condition.
DROP INDEX messages_due_idx;
CREATE INDEX messages_due_idx ON messages (next_attempt_at, seq) WHERE settled_at IS NULL AND next_attempt_at IS NOT NULL;
DROP INDEX messages_open_idx;
CREATE INDEX messages_open_idx ON messages (instance_id, created_at DESC, seq DESC) WHERE settled_at IS NULL AND created_at > '-infinity';
