DROP INDEX messages_gateway_message_key;
CREATE UNIQUE INDEX messages_gateway_message_key ON messages (instance_id, gateway_message_id, chat_id) WHERE gateway_message_id IS NOT NULL;
DROP INDEX messages_idempotency_key;
CREATE UNIQUE INDEX messages_idempotency_key ON messages (instance_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
DROP INDEX messages_text_idx;
CREATE INDEX messages_text_idx ON messages USING gin (to_tsvector('simple', text)) WHERE text IS NOT NULL;
ALTER TABLE messages SET (fillfactor = 75);
