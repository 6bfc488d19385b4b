-- What to do with a message of which nobody can tell whether it was sent.
ALTER TABLE instances
    ADD COLUMN in_doubt text NOT NULL DEFAULT 'hold'
    CONSTRAINT instances_in_doubt_check CHECK (in_doubt IN ('hold', 'resend'));

-- Where and when a message was written that somebody sent us: events of one
-- chat are applied in that order. Null for every other event.
ALTER TABLE gateway_events
    ADD COLUMN chat text,
    ADD COLUMN written_at timestamptz;

CREATE INDEX gateway_events_chat_idx ON gateway_events (instance_id, chat, written_at) WHERE state = 'pending' AND chat IS NOT NULL;
