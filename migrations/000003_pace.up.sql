-- An instance whose gateway asked to slow down, or cannot be reached, sends
-- nothing until blocked_until; failures counts how often in a row.
ALTER TABLE instances
    ADD COLUMN blocked_until timestamptz,
    ADD COLUMN block_reason text,
    ADD COLUMN failures integer NOT NULL DEFAULT 0;

-- What was changed while everything ran, for processes that were not listening
-- at that moment. One that starts later begins with its environment.
CREATE TABLE settings (
    name       text        CONSTRAINT settings_pkey PRIMARY KEY,
    value      text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
