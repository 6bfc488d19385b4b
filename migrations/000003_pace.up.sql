-- An instance whose gateway asked to slow down, or cannot be reached, sends
-- nothing until blocked_until; failures counts how often in a row.
ALTER TABLE instances
    ADD COLUMN blocked_until timestamptz,
    ADD COLUMN block_reason text,
    ADD COLUMN failures integer NOT NULL DEFAULT 0;
