-- name: StoreMedia :many
-- StoreMedia notes that files are to be fetched, of those messages that are
-- there. It answers with them.
INSERT INTO media (id, message_id, gateway_id, storage_key)
SELECT t.id, t.id, t.gateway_id, t.storage_key
FROM (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@gateway_ids::text[]) AS gateway_id, unnest(@storage_keys::text[]) AS storage_key
) t
ON CONFLICT ON CONSTRAINT media_pkey DO NOTHING
RETURNING id;

-- name: ClaimMedia :one
-- ClaimMedia begins an attempt to fetch a file, if one is due: no row means that
-- it is fetched, given up, being fetched by somebody else, or must wait. Timers
-- may fire a little early: hence the second of tolerance. told_sha256 is what its
-- sender says; empty if nothing.
WITH due AS (
    SELECT k.id
    FROM (SELECT @id::uuid AS id) t
    CROSS JOIN LATERAL (
        SELECT d.id FROM media d
        WHERE d.id = t.id AND d.state = 'pending' AND d.message_id IS NOT NULL AND d.next_attempt_at <= now() + interval '1 second'
        LIMIT 1
        FOR NO KEY UPDATE OF d
    ) k
)
UPDATE media d
SET attempts = d.attempts + 1, next_attempt_at = now() + @lease::interval, attempted_at = now()
FROM due, messages m, instances i
WHERE d.id = due.id AND m.id = d.message_id AND i.id = m.instance_id AND d.state = 'pending' AND d.message_id IS NOT NULL
  AND d.next_attempt_at <= now() + interval '1 second'
RETURNING d.id, d.gateway_id, d.storage_key, d.attempts, d.created_at, COALESCE(d.error_code, '')::text AS last_code,
          COALESCE(m.content -> 'media' ->> 'sha256', '')::text AS told_sha256, sqlc.embed(i);

-- name: RenewMedia :execrows
-- RenewMedia prolongs the lease of an attempt. Zero rows mean that it is not
-- the latest any more, or that its message was deleted.
UPDATE media SET next_attempt_at = now() + @lease::interval
WHERE id = @id AND state = 'pending' AND attempts = @attempt AND message_id IS NOT NULL;

-- name: SettleMedia :execrows
-- SettleMedia records what came of an attempt: the file is kept, or failed for
-- good, or pending and to be tried again after a while. Zero rows mean that a
-- later attempt was begun, or that the message was deleted.
UPDATE media
SET state = @state::text, next_attempt_at = now() + @wait::interval, duration_ms = @duration_ms::integer,
    error_code = NULLIF(@code::text, ''), error_text = NULLIF(@reason::text, ''),
    size = NULLIF(@size::bigint, -1), mime_type = NULLIF(@mime_type::text, ''), sha256 = @sha256::bytea,
    settled_at = CASE WHEN @state::text <> 'pending' THEN now() END
WHERE id = @id AND state = 'pending' AND attempts = @attempt AND message_id IS NOT NULL;

-- name: OverdueMedia :many
-- OverdueMedia lists files that could be fetched since before the given time,
-- after a position, oldest first: what Redis should know of.
SELECT d.id, d.attempts, d.next_attempt_at FROM media d
WHERE d.state = 'pending' AND d.message_id IS NOT NULL AND d.next_attempt_at <= @due_before::timestamptz
  AND (d.next_attempt_at, d.id) > (@after_at::timestamptz, @after_id::uuid)
ORDER BY d.next_attempt_at, d.id
LIMIT @max_rows;

-- name: MediaOf :many
-- MediaOf reads the files of messages, those that have one.
SELECT d.* FROM (SELECT unnest(@ids::uuid[]) AS id) t
CROSS JOIN LATERAL (SELECT * FROM media x WHERE x.id = t.id LIMIT 1) d;

-- name: OrphanedMedia :many
-- OrphanedMedia lists files whose message was deleted, after a position, but for
-- those that may be being fetched right now.
SELECT d.id, d.storage_key FROM media d
WHERE d.message_id IS NULL AND d.id > @after_id::uuid
  AND (d.state <> 'pending' OR d.next_attempt_at < now())
ORDER BY d.id
LIMIT @max_rows;

-- name: ForgetMedia :exec
-- ForgetMedia deletes the rows of files that are deleted.
DELETE FROM media d WHERE d.id = ANY(@ids::uuid[]) AND d.message_id IS NULL;
