-- What applications have read, and their gateways are to tell the people who wrote
-- it. Open while next_attempt_at is not null, which is also the lease of whoever
-- tells it just now; then done, or given up for the reason in error_code.
CREATE TABLE read_receipts (
    message_id      uuid        CONSTRAINT read_receipts_pkey PRIMARY KEY CONSTRAINT read_receipts_message_fkey REFERENCES messages ON DELETE CASCADE,
    asked_at        timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz,
    attempt         integer     NOT NULL DEFAULT 0, -- number of the latest attempt, and its fencing value
    done_at         timestamptz,
    error_code      text,
    error_text      text
) WITH (fillfactor = 75);
CREATE INDEX read_receipts_due_idx ON read_receipts (next_attempt_at, message_id) WHERE next_attempt_at IS NOT NULL;
