-- The WhatsApp Cloud API: which number an instance is, what its webhooks are
-- signed with (the secret before it too, while Meta changes over), and what it
-- shows when a webhook is set up.
ALTER TABLE instances
    ADD COLUMN phone_number_id     text,
    ADD COLUMN app_secret          bytea, -- sealed
    ADD COLUMN previous_app_secret bytea, -- sealed
    ADD COLUMN app_secret_hashes   bytea[], -- SHA-256 of both: instances that share one are of one app
    ADD COLUMN verify_token_hash   bytea;
CREATE UNIQUE INDEX instances_phone_number_key ON instances (phone_number_id) WHERE deleted_at IS NULL;

-- What became of a message's content after it was written.
ALTER TABLE messages
    ADD COLUMN edited_at  timestamptz,
    ADD COLUMN deleted_at timestamptz; -- for everyone

-- Files that came along with messages to send.
CREATE TABLE uploads (
    message_id uuid  CONSTRAINT uploads_pkey PRIMARY KEY CONSTRAINT uploads_message_fkey REFERENCES messages ON DELETE CASCADE,
    data       bytea NOT NULL
);
ALTER TABLE uploads ALTER COLUMN data SET STORAGE EXTERNAL; -- compressed already, as most are
