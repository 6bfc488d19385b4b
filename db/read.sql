-- name: AskToRead :one
-- AskToRead notes that an inbound message was read and that its writer is to be
-- told. Asking again what is under way or done changes nothing, which gives no row;
-- what was given up is begun anew.
INSERT INTO read_receipts (message_id, next_attempt_at)
SELECT id, now() FROM messages WHERE id = @id AND direction = 'inbound'
ON CONFLICT ON CONSTRAINT read_receipts_pkey DO UPDATE
SET asked_at = now(), next_attempt_at = now(), attempt = 0, error_code = NULL, error_text = NULL
WHERE read_receipts.next_attempt_at IS NULL AND read_receipts.done_at IS NULL
RETURNING asked_at;

-- name: ClaimRead :one
-- ClaimRead leases a receipt to one who tells its writer, and counts the attempt.
-- No row: it is done, or somebody else has it, or it must wait, for its time or for
-- its instance. Timers may fire a little early: hence the second of tolerance.
WITH locked AS (
    SELECT x.message_id, x.next_attempt_at FROM read_receipts x WHERE x.message_id = @message_id LIMIT 1 FOR NO KEY UPDATE
)
UPDATE read_receipts r
SET attempt = r.attempt + 1, next_attempt_at = now() + @lease::interval
FROM locked k, messages m, instances i, chats c
WHERE r.message_id = k.message_id AND k.next_attempt_at <= now() + interval '1 second'
  AND m.id = k.message_id AND i.id = m.instance_id AND c.id = m.chat_id AND i.paused_at IS NULL
RETURNING r.message_id, r.attempt, m.instance_id, m.gateway_message_id, c.jid AS chat, i.name AS instance, i.gateway, i.base_url,
          i.credential, i.phone_number_id, (i.deleted_at IS NOT NULL)::boolean AS deleted;

-- name: FinishRead :exec
-- FinishRead notes that the writer of a message was told.
UPDATE read_receipts
SET done_at = COALESCE(done_at, now()), next_attempt_at = NULL, error_code = NULL, error_text = NULL
WHERE message_id = @message_id;

-- name: PutOffRead :exec
-- PutOffRead notes why an attempt came to nothing, and when the next one is due, or
-- that there is none. A receipt of which a later attempt was begun is left alone.
UPDATE read_receipts r
SET error_code = @code::text, error_text = @reason::text,
    next_attempt_at = CASE WHEN @gives_up::boolean THEN NULL ELSE now() + @wait::interval END
WHERE r.message_id = @message_id AND r.attempt = @attempt AND r.done_at IS NULL;

-- name: DueReads :many
-- DueReads lists receipts that were due before a time and whose instance may send:
-- what Redis should know of.
SELECT r.message_id, r.asked_at, r.next_attempt_at::timestamptz AS next_attempt_at, i.name AS instance
FROM read_receipts r
CROSS JOIN LATERAL (SELECT m.instance_id FROM messages m WHERE m.id = r.message_id LIMIT 1) m
JOIN instances i ON i.id = m.instance_id
WHERE r.next_attempt_at <= @due_before::timestamptz AND i.paused_at IS NULL
ORDER BY r.next_attempt_at, r.message_id
LIMIT @max_rows;

-- name: TypingTarget :one
-- TypingTarget tells how to reach an instance that may send, by what name a chat of
-- it is called, and what was written to us last there, as far as that is among its
-- newest hundred messages. Both are empty when there is none.
SELECT i.id AS instance_id, i.name AS instance, i.gateway, i.base_url, i.credential, i.phone_number_id,
       COALESCE(c.jid, '')::text AS chat, COALESCE(h.gateway_message_id, '')::text AS last_heard
FROM instances i
LEFT JOIN LATERAL (SELECT a.chat_id FROM addresses a WHERE a.address = @address AND a.instance_id = i.id LIMIT 1) a ON true
LEFT JOIN LATERAL (SELECT k.jid FROM chats k WHERE k.id = a.chat_id LIMIT 1) c ON true
LEFT JOIN LATERAL (
    SELECT n.gateway_message_id
    FROM (
        SELECT m.gateway_message_id, m.direction, m.created_at, m.seq FROM messages m
        WHERE m.chat_id = a.chat_id
        ORDER BY m.created_at DESC, m.seq DESC
        LIMIT 100
    ) n
    WHERE n.direction = 'inbound'
    ORDER BY n.created_at DESC, n.seq DESC
    LIMIT 1
) h ON true
WHERE i.name = @instance AND i.deleted_at IS NULL AND i.paused_at IS NULL;
