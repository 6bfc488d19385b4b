-- What is no longer worth sending is found by its time.
CREATE INDEX messages_expiry_idx ON messages (expires_at) WHERE settled_at IS NULL AND expires_at IS NOT NULL;
