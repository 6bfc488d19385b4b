-- Files that people sent, and how fetching them from their gateway goes. A
-- message may be deleted in many ways; its file is then deleted after it, and
-- the row last, so that a crash in between leaves nothing behind for ever.
CREATE TABLE media (
    id              uuid        CONSTRAINT media_pkey PRIMARY KEY, -- the message's
    message_id      uuid        CONSTRAINT media_message_key UNIQUE
                                CONSTRAINT media_message_fkey REFERENCES messages ON DELETE SET NULL, -- null: to be deleted
    gateway_id      text        NOT NULL, -- what the gateway calls the file
    storage_key     text        NOT NULL, -- what the store calls it
    state           text        NOT NULL DEFAULT 'pending' CONSTRAINT media_state_check CHECK (state IN ('pending', 'kept', 'failed')),
    attempts        integer     NOT NULL DEFAULT 0,     -- number of the latest; also the fencing value of its lease
    next_attempt_at timestamptz NOT NULL DEFAULT now(), -- pending: when it may be fetched, or its worker is taken for lost
    attempted_at    timestamptz,
    duration_ms     integer,
    error_code      text,
    error_text      text,
    size            bigint, -- counted
    mime_type       text,   -- by its bytes
    sha256          bytea,  -- computed
    created_at      timestamptz NOT NULL DEFAULT now(),
    settled_at      timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

CREATE INDEX media_due_idx ON media (next_attempt_at, id) WHERE state = 'pending' AND message_id IS NOT NULL;
CREATE INDEX media_orphans_idx ON media (id) WHERE message_id IS NULL;
