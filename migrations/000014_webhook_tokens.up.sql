-- The webhook token before the present one counts too: a gateway shows it until it
-- has the new one, and with what it tries again after that.
ALTER TABLE instances ADD COLUMN previous_webhook_token_hash bytea; -- SHA-256; null: there is none
