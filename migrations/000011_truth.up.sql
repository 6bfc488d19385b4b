-- What a gateway took and then said nothing more of. Marked once it is late, and
-- unmarked by whatever it says after all.
ALTER TABLE messages ADD COLUMN ack_overdue_at timestamptz;

-- When each message was settled, which never changes after: so a look at what
-- was settled some minutes ago reads each once, and no report rewrites this index.
CREATE INDEX messages_settled_idx ON messages (settled_at) WHERE settled_at IS NOT NULL AND direction = 'outbound';
CREATE INDEX messages_overdue_idx ON messages (instance_id, created_at DESC, seq DESC) WHERE ack_overdue_at IS NOT NULL;

-- How far an instance was compared with what its gateway has written down.
ALTER TABLE instances
    ADD COLUMN opened_at       timestamptz, -- its session was last said to be open
    ADD COLUMN reconciled_to   timestamptz, -- compared up to here; null: never
    ADD COLUMN reconcile_at    timestamptz, -- not compared again before; null: when it is due
    ADD COLUMN reconcile_run   integer NOT NULL DEFAULT 0, -- number of the latest run; the fencing value of its lease
    ADD COLUMN reconcile_until timestamptz, -- a run has it until then
    ADD COLUMN gaps            bigint  NOT NULL DEFAULT 0, -- messages that no webhook had told of
    ADD COLUMN last_gap_at     timestamptz;
