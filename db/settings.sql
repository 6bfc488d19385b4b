-- name: TellLogLevel :exec
-- TellLogLevel tells every process of a new log level, and keeps it for those
-- that cannot hear it just now.
WITH kept AS (
    INSERT INTO settings (name, value) VALUES ('log_level', @directives)
    ON CONFLICT ON CONSTRAINT settings_pkey DO UPDATE SET value = excluded.value, changed_at = now()
)
SELECT pg_notify('msgorch_log_level', @directives::text);

-- name: LogLevelSince :one
-- LogLevelSince finds the log level that was told after a time, if any was.
SELECT value FROM settings WHERE name = 'log_level' AND changed_at > @since;

-- name: AnythingOpen :one
-- AnythingOpen tells whether the relay may find something to do: one question
-- instead of ten, each second, for a worker that has no work. Evidence counts
-- that came since the given time. Messages are asked for from the newest on: the
-- index still has the old ones, which are settled, until it is vacuumed.
SELECT ((SELECT max(next_attempt_at) FROM messages WHERE settled_at IS NULL) IS NOT NULL
    OR EXISTS (SELECT 1 FROM gateway_events WHERE state = 'pending')
    OR EXISTS (SELECT 1 FROM media WHERE state = 'pending' AND message_id IS NOT NULL AND next_attempt_at <= now())
    OR COALESCE((SELECT max(received_at) FROM early_evidence), '-infinity') >= @since::timestamptz
    OR EXISTS (SELECT 1 FROM chat_merges)
    OR (SELECT min(next_attempt_at) FROM read_receipts) IS NOT NULL
    OR EXISTS (SELECT 1 FROM instances WHERE probe_at <= now()))::boolean AS anything;

-- name: TryLockRelay :one
-- TryLockRelay takes the lock under which one relay sweeps at a time. It belongs
-- to the connection, and ends with it.
SELECT pg_try_advisory_lock(7305812942);

-- name: UnlockRelay :exec
SELECT pg_advisory_unlock(7305812942);
