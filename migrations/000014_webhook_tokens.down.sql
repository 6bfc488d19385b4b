ALTER TABLE instances DROP COLUMN previous_webhook_token_hash;
