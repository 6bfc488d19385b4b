-- name: AcceptMessages :many
-- AcceptMessages stores outbound messages that were accepted together, in the
-- order given. It answers with those that are new, and with those for which
-- something is missing: their instance, or their chat, which EnsureChats makes. When
-- a chat is missing nothing is stored, so that what is accepted together stays in
-- order. Who is not in the answer then met its idempotency key in an earlier
-- message, or, when that was committed meanwhile and this does not see it, is to be
-- accepted again. Empty text and the zero time mean null.
--
-- Here and elsewhere "instance_id + 0" and "chat_id + 0" hide a column from every
-- index but the one that is meant, which finds the row by the rest: on a small table
-- the planner may take another for as good, and a prepared statement keeps that plan.
--
-- Nobody waits for a chat: one that another transaction holds is brought up to
-- date by that one. Without bump no chat is held either, for a transaction that
-- may stay open. A chat is found by any of its addresses.
WITH asked AS (
    SELECT row_number() OVER () AS ord, a.*
    FROM (
        SELECT unnest(@ids::uuid[]) AS id,
               unnest(@instances::text[]) AS instance,
               unnest(@chats::text[]) AS jid,
               unnest(@addresses::text[]) AS address,
               unnest(@types::text[]) AS type,
               unnest(@texts::text[]) AS text,
               unnest(@contents::text[]) AS content,
               unnest(@reply_tos::uuid[]) AS reply_to,
               unnest(@priorities::text[]) AS priority,
               unnest(@send_ats::timestamptz[]) AS send_at,
               unnest(@expires_ats::timestamptz[]) AS expires_at,
               unnest(@metadatas::text[]) AS metadata,
               unnest(@idempotency_keys::text[]) AS idempotency_key,
               unnest(@request_hashes::bytea[]) AS request_hash
    ) a
), known AS (
    SELECT a.*, i.id AS instance_id
    FROM asked a LEFT JOIN instances i ON i.name = a.instance AND i.deleted_at IS NULL
), unseen AS (
    SELECT k.*, c.id AS chat_id, c.jid AS chat
    FROM known k
    LEFT JOIN LATERAL (
        SELECT c.id, c.jid FROM addresses a JOIN chats c ON c.id = a.chat_id
        WHERE a.instance_id = k.instance_id AND a.address = k.address LIMIT 1
    ) c ON true
    WHERE k.instance_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM messages m
        WHERE m.instance_id + 0 = k.instance_id AND m.idempotency_key = NULLIF(k.idempotency_key, '')
    )
), ready AS (
    SELECT u.* FROM unseen u WHERE (SELECT count(*) FROM unseen x WHERE x.chat_id IS NULL) = 0
), bumped AS (
    UPDATE chats c SET last_message_at = GREATEST(c.last_message_at, now()), unread = 0
    WHERE @bump::boolean AND c.id = ANY(ARRAY(
        SELECT o.id FROM chats o WHERE o.id = ANY(ARRAY(SELECT u.chat_id FROM ready u)) FOR NO KEY UPDATE SKIP LOCKED))
), fresh AS (
    INSERT INTO messages (
        id, instance_id, chat_id, direction, status, type, text, content, reply_to, priority,
        send_at, expires_at, metadata, idempotency_key, request_hash,
        next_attempt_at, task_batch, history, created_at
    )
    SELECT u.id, u.instance_id, u.chat_id, 'outbound',
           (CASE WHEN t.send_at > now() THEN 'scheduled' ELSE 'queued' END)::message_status,
           u.type, NULLIF(u.text, ''), NULLIF(u.content, '')::jsonb, NULLIF(u.reply_to, '00000000-0000-0000-0000-000000000000'), u.priority::message_priority,
           t.send_at, NULLIF(u.expires_at, '0001-01-01 00:00:00+00'), u.metadata::jsonb,
           NULLIF(u.idempotency_key, ''), NULLIF(u.request_hash, ''),
           GREATEST(now(), t.send_at), NULLIF(@task_batch::uuid, '00000000-0000-0000-0000-000000000000'),
           jsonb_build_array(jsonb_build_object(
               'status', CASE WHEN t.send_at > now() THEN 'scheduled' ELSE 'queued' END, 'at', now())),
           now()
    FROM ready u
    CROSS JOIN LATERAL (SELECT NULLIF(u.send_at, '0001-01-01 00:00:00+00') AS send_at) t
    ORDER BY u.ord
    ON CONFLICT (instance_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, created_at
), spoken AS (
    -- Where the chat is not called as the caller called it. A map instead of a
    -- join, which would compare each message with each.
    SELECT jsonb_object_agg(u.id, u.chat) AS chats FROM ready u WHERE u.chat <> u.jid
), files AS (
    INSERT INTO uploads (message_id, data)
    SELECT t.id, t.data
    FROM (SELECT unnest(@upload_ids::uuid[]) AS id, unnest(@uploads::bytea[]) AS data) t
    WHERE t.id = ANY(ARRAY(SELECT f.id FROM fresh f))
)
SELECT f.id, ''::text AS missing, 0::bigint AS instance_id, f.created_at, COALESCE((SELECT s.chats FROM spoken s) ->> f.id::text, '')::text AS chat FROM fresh f
UNION ALL
SELECT k.id, 'instance', 0, now(), '' FROM known k WHERE k.instance_id IS NULL
UNION ALL
SELECT u.id, 'chat', u.instance_id, now(), '' FROM unseen u WHERE u.chat_id IS NULL;

-- name: MessageByKey :one
-- MessageByKey finds the message that an idempotency key stands for.
SELECT sqlc.embed(m), i.name AS instance, c.jid AS chat
FROM messages m
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id
WHERE i.name = @instance AND i.id = m.instance_id + 0 AND m.idempotency_key = @idempotency_key::text;

-- name: ReplyTargets :many
-- ReplyTargets finds which of the given messages are in the chat of an instance
-- that has the given address. The ordinals begin with 1.
SELECT t.ord::bigint AS ord
FROM (
    SELECT row_number() OVER () AS ord, r.*
    FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@instances::text[]) AS instance, unnest(@addresses::text[]) AS address) r
) t
CROSS JOIN LATERAL (SELECT m.chat_id, m.instance_id FROM messages m WHERE m.id = t.id LIMIT 1) m
CROSS JOIN LATERAL (SELECT i.id FROM instances i WHERE i.id = m.instance_id AND i.name = t.instance LIMIT 1) i
CROSS JOIN LATERAL (
    SELECT a.chat_id FROM addresses a WHERE a.address = t.address AND a.instance_id = m.instance_id AND a.chat_id = m.chat_id LIMIT 1
) a;

-- name: WakeRelay :exec
-- WakeRelay tells the workers, when the surrounding transaction commits, that
-- there are rows to queue.
SELECT pg_notify('msgorch_relay', '');
