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
