DROP INDEX messages_waiting_idx;
DROP INDEX chats_slot_idx;
ALTER TABLE chats DROP COLUMN slot_at, DROP COLUMN tat;
ALTER TABLE instances RESET (fillfactor);
ALTER TABLE instances
    DROP COLUMN probe_at, DROP COLUMN pulled_until, DROP COLUMN slot_at, DROP COLUMN slowed_until,
    DROP COLUMN sent_count, DROP COLUMN sent_on, DROP COLUMN gap_until, DROP COLUMN tat, DROP COLUMN paced,
    DROP COLUMN warm_up_first, DROP COLUMN warm_up_days, DROP COLUMN warm_up_start, DROP COLUMN daily_cap,
    DROP COLUMN gap_max_ms, DROP COLUMN gap_min_ms, DROP COLUMN chat_burst, DROP COLUMN chat_rate_per_minute,
    DROP COLUMN burst;
