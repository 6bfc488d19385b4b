-- What to do with a message of which nobody can tell whether it was sent.
ALTER TABLE instances
    ADD COLUMN in_doubt text NOT NULL DEFAULT 'hold'
    CONSTRAINT instances_in_doubt_check CHECK (in_doubt IN ('hold', 'resend'));
