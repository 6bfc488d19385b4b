-- name: MessageByID :one
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM messages m
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
WHERE m.id = @id;

-- name: MessagesByID :many
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM messages m
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
WHERE m.id = ANY(@ids::uuid[]);

-- name: AttemptsOf :many
SELECT * FROM attempts WHERE message_id = @message_id ORDER BY attempt;

-- name: ListMessages :many
-- ListMessages lists messages of instances and directions, newest first,
-- before a position: one index walk for each pair, merged. No statuses mean
-- any.
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM unnest(@instance_ids::bigint[]) AS wanted(id)
CROSS JOIN unnest(@directions::text[]) AS way(direction)
CROSS JOIN LATERAL (
    SELECT p.id FROM messages p
    WHERE p.instance_id = wanted.id AND p.direction = way.direction::message_direction
      AND (p.created_at, p.seq) < (@before_at::timestamptz, @before_seq::bigint)
      AND p.created_at >= @since::timestamptz
      AND (cardinality(@statuses::text[]) = 0 OR p.status::text = ANY(@statuses::text[]))
    ORDER BY p.created_at DESC, p.seq DESC
    LIMIT @max_rows
) page
JOIN messages m ON m.id = page.id
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
ORDER BY m.created_at DESC, m.seq DESC
LIMIT @max_rows;

-- name: ListOpenMessages :many
-- ListOpenMessages is ListMessages for statuses of unsettled messages
-- (scheduled, queued, sending, unknown), which have an index of their own.
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM unnest(@instance_ids::bigint[]) AS wanted(id)
CROSS JOIN LATERAL (
    SELECT p.id FROM messages p
    WHERE p.instance_id = wanted.id AND p.settled_at IS NULL AND p.created_at > '-infinity'
      AND (p.created_at, p.seq) < (@before_at::timestamptz, @before_seq::bigint)
      AND p.created_at >= @since::timestamptz
      AND p.status::text = ANY(@statuses::text[])
    ORDER BY p.created_at DESC, p.seq DESC
    LIMIT @max_rows
) page
JOIN messages m ON m.id = page.id
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
ORDER BY m.created_at DESC, m.seq DESC
LIMIT @max_rows;

-- name: ListStoppedMessages :many
-- ListStoppedMessages is ListMessages for failed, canceled and expired
-- messages, which have an index of their own.
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM unnest(@instance_ids::bigint[]) AS wanted(id)
CROSS JOIN LATERAL (
    SELECT p.id FROM messages p
    WHERE p.instance_id = wanted.id AND p.stopped_at IS NOT NULL
      AND (p.created_at, p.seq) < (@before_at::timestamptz, @before_seq::bigint)
      AND p.created_at >= @since::timestamptz
      AND p.status::text = ANY(@statuses::text[])
    ORDER BY p.created_at DESC, p.seq DESC
    LIMIT @max_rows
) page
JOIN messages m ON m.id = page.id
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
ORDER BY m.created_at DESC, m.seq DESC
LIMIT @max_rows;

-- name: ListChatMessages :many
-- ListChatMessages is ListMessages for given chats.
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM unnest(@chat_ids::bigint[]) AS wanted(id)
CROSS JOIN LATERAL (
    SELECT p.id FROM messages p
    WHERE p.chat_id = wanted.id
      AND (p.created_at, p.seq) < (@before_at::timestamptz, @before_seq::bigint)
      AND p.created_at >= @since::timestamptz
      AND p.direction::text = ANY(@directions::text[])
      AND (cardinality(@statuses::text[]) = 0 OR p.status::text = ANY(@statuses::text[]))
      AND (@query::text = '' OR to_tsvector('simple', p.text) @@ to_tsquery('simple', @query::text))
    ORDER BY p.created_at DESC, p.seq DESC
    LIMIT @max_rows
) page
JOIN messages m ON m.id = page.id
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
ORDER BY m.created_at DESC, m.seq DESC
LIMIT @max_rows;

-- name: SearchMessages :many
-- SearchMessages is ListMessages for messages whose text matches a tsquery. The
-- index has the words of settled messages; the others are few, and looked through.
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM (
    SELECT s.id FROM messages s
    WHERE s.settled_at IS NOT NULL AND s.text IS NOT NULL AND to_tsvector('simple', s.text) @@ to_tsquery('simple', @query::text)
    UNION ALL
    SELECT o.id FROM messages o
    WHERE o.settled_at IS NULL AND o.created_at > '-infinity' AND o.instance_id = ANY(@instance_ids::bigint[])
      AND to_tsvector('simple', o.text) @@ to_tsquery('simple', @query::text)
) f
JOIN messages m ON m.id = f.id
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
WHERE m.instance_id = ANY(@instance_ids::bigint[])
  AND m.direction::text = ANY(@directions::text[])
  AND (m.created_at, m.seq) < (@before_at::timestamptz, @before_seq::bigint)
  AND m.created_at >= @since::timestamptz
  AND (cardinality(@statuses::text[]) = 0 OR m.status::text = ANY(@statuses::text[]))
ORDER BY m.created_at DESC, m.seq DESC
LIMIT @max_rows;

-- name: ChatIDs :many
-- ChatIDs finds a conversation in each of the given instances.
SELECT id FROM chats WHERE instance_id = ANY(@instance_ids::bigint[]) AND jid = @jid;

-- name: ListChats :many
-- ListChats lists the conversations of an instance that have a message, the
-- one that moved last first, before a position, each with its last message.
SELECT c.id, c.jid, COALESCE(c.name, p.name, '')::text AS name, c.unread, c.last_message_at::timestamptz AS last_message_at, l.id AS last_message_id
FROM chats c
LEFT JOIN contacts p ON p.instance_id = c.instance_id AND p.jid = c.jid
LEFT JOIN LATERAL (
    SELECT m.id FROM messages m WHERE m.chat_id = c.id ORDER BY m.created_at DESC, m.seq DESC LIMIT 1
) l ON true
WHERE c.instance_id = @instance_id AND c.last_message_at IS NOT NULL
  AND (c.last_message_at, c.id) < (@before_at::timestamptz, @before_id::bigint)
ORDER BY c.last_message_at DESC NULLS LAST, c.id DESC
LIMIT @max_rows;

-- name: CancelMessage :one
-- CancelMessage stops a message that nobody is sending. No row means it is not
-- in a state that can be canceled.
UPDATE messages
SET status = 'canceled', stopped_at = now(), settled_at = now(), lease_until = NULL,
    history = history || jsonb_build_object('status', 'canceled', 'at', now())
WHERE id = @id AND direction = 'outbound' AND status IN ('scheduled', 'queued')
RETURNING id;

-- name: RetryMessage :one
-- RetryMessage sends again what failed, expired or is held in doubt, with as
-- many attempts as a new message has. No row means it is in another state, or
-- was not sent by us.
UPDATE messages
SET status = 'queued', stopped_at = NULL, settled_at = NULL, next_attempt_at = now(), expires_at = NULL,
    max_attempts = attempt + 12, error_code = NULL, error_text = NULL, gateway_message_id = NULL,
    accepted_at = NULL, sent_at = NULL,
    history = history || jsonb_build_object('status', 'queued', 'at', now())
WHERE id = @id AND direction = 'outbound' AND attempt > 0
  AND (status IN ('failed', 'expired') OR status = 'unknown' AND next_attempt_at IS NULL)
RETURNING id;

-- name: CancelMatching :one
-- CancelMatching cancels at most max_rows of the messages that a filter matches
-- and that nobody is sending. No chats or statuses mean any. It answers how
-- many; a message that is being claimed at this moment is either claimed or
-- canceled, never both.
WITH chosen AS (
    SELECT m.id FROM messages m
    WHERE m.instance_id = ANY(@instance_ids::bigint[]) AND m.settled_at IS NULL AND m.created_at > '-infinity'
      AND m.direction = 'outbound' AND m.status IN ('scheduled', 'queued') AND m.created_at <= @asked_at::timestamptz
      AND (cardinality(@chat_ids::bigint[]) = 0 OR m.chat_id = ANY(@chat_ids::bigint[]))
      AND (cardinality(@statuses::text[]) = 0 OR m.status::text = ANY(@statuses::text[]))
      AND m.created_at >= @since::timestamptz AND m.created_at < @until_at::timestamptz
      AND (@query::text = '' OR to_tsvector('simple', m.text) @@ to_tsquery('simple', @query::text))
    ORDER BY m.id
    LIMIT @max_rows
    FOR NO KEY UPDATE
), done AS (
    UPDATE messages m
    SET status = 'canceled', stopped_at = now(), settled_at = now(), lease_until = NULL,
        history = m.history || jsonb_build_object('status', 'canceled', 'at', now())
    FROM chosen s
    WHERE m.id = s.id AND m.status IN ('scheduled', 'queued')
    RETURNING m.id
)
SELECT count(*)::integer FROM done;

-- name: RetryMatching :one
-- RetryMatching is RetryMessage for at most max_rows of the messages that a
-- filter matches. What failed after asked_at is left alone: it may be one of
-- these, failing again. It answers how many.
WITH chosen AS (
    SELECT m.id FROM messages m
    WHERE m.instance_id = ANY(@instance_ids::bigint[]) AND (m.stopped_at IS NOT NULL OR m.settled_at IS NULL AND m.created_at > '-infinity')
      AND m.direction = 'outbound' AND m.attempt > 0
      AND (m.status IN ('failed', 'expired') AND m.stopped_at <= @asked_at::timestamptz
           OR m.status = 'unknown' AND m.next_attempt_at IS NULL)
      AND (cardinality(@chat_ids::bigint[]) = 0 OR m.chat_id = ANY(@chat_ids::bigint[]))
      AND (cardinality(@statuses::text[]) = 0 OR m.status::text = ANY(@statuses::text[]))
      AND m.created_at >= @since::timestamptz AND m.created_at < @until_at::timestamptz
      AND (@query::text = '' OR to_tsvector('simple', m.text) @@ to_tsquery('simple', @query::text))
    ORDER BY m.id
    LIMIT @max_rows
    FOR NO KEY UPDATE
), done AS (
    UPDATE messages m
    SET status = 'queued', stopped_at = NULL, settled_at = NULL, next_attempt_at = now(), expires_at = NULL,
        max_attempts = m.attempt + 12, error_code = NULL, error_text = NULL, gateway_message_id = NULL,
        accepted_at = NULL, sent_at = NULL,
        history = m.history || jsonb_build_object('status', 'queued', 'at', now())
    FROM chosen s
    WHERE m.id = s.id AND (m.status IN ('failed', 'expired') OR m.status = 'unknown' AND m.next_attempt_at IS NULL)
    RETURNING m.id
)
SELECT count(*)::integer FROM done;
