ALTER TABLE instances
    DROP COLUMN opened_at, DROP COLUMN reconciled_to, DROP COLUMN reconcile_at, DROP COLUMN reconcile_run, DROP COLUMN reconcile_until,
    DROP COLUMN gaps, DROP COLUMN last_gap_at;
DROP INDEX messages_overdue_idx;
DROP INDEX messages_settled_idx;
ALTER TABLE messages DROP COLUMN ack_overdue_at;
