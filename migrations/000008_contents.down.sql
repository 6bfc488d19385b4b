DROP TABLE uploads;
ALTER TABLE messages DROP COLUMN edited_at, DROP COLUMN deleted_at;
DROP INDEX instances_phone_number_key;
ALTER TABLE instances
    DROP COLUMN phone_number_id, DROP COLUMN app_secret, DROP COLUMN previous_app_secret, DROP COLUMN app_secret_hashes, DROP COLUMN verify_token_hash;
