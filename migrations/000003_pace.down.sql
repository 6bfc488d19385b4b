DROP TABLE settings;
ALTER TABLE instances DROP COLUMN failures, DROP COLUMN block_reason, DROP COLUMN blocked_until;
