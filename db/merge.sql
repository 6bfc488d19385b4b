-- name: FindAddresses :many
-- FindAddresses tells which chats the given addresses lead to.
SELECT f.instance_id, f.address, f.chat_id
FROM (SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@addresses::text[]) AS address) t
CROSS JOIN LATERAL (
    SELECT a.instance_id, a.address, a.chat_id FROM addresses a WHERE a.address = t.address AND a.instance_id = t.instance_id LIMIT 1
) f;

-- name: AddressesOfChats :many
-- AddressesOfChats lists the addresses of chats, with the one they are called by.
SELECT a.chat_id, a.address, c.jid
FROM addresses a JOIN chats c ON c.id = a.chat_id
WHERE a.chat_id = ANY(@chat_ids::bigint[])
ORDER BY a.chat_id, a.address;

-- name: AddAddress :execrows
-- AddAddress gives a chat a further address. Zero rows: it leads to a chat already,
-- which another transaction may have made just now.
INSERT INTO addresses (address, instance_id, jid, chat_id)
VALUES (@address, @instance_id, @jid, @chat_id)
ON CONFLICT ON CONSTRAINT addresses_pkey DO NOTHING;

-- name: CallChat :exec
-- CallChat calls a chat by a better one of its addresses: from now on its messages
-- are sent there. Its contact keeps its name.
WITH called AS (
    UPDATE chats c SET jid = @jid
    WHERE c.id = @id AND (SELECT a.chat_id FROM addresses a WHERE a.chat_id = @id AND a.address = @address::text) IS NOT NULL
    RETURNING c.instance_id, (SELECT o.jid FROM chats o WHERE o.id = @id) AS was
)
INSERT INTO contacts (instance_id, jid, name)
SELECT p.instance_id, @jid, p.name
FROM called d JOIN contacts p ON p.instance_id = d.instance_id AND p.jid = d.was
ON CONFLICT ON CONSTRAINT contacts_pkey DO NOTHING;

-- name: AskToMerge :exec
-- AskToMerge notes that one chat is another one.
INSERT INTO chat_merges (chat_id, into_id) VALUES (@chat_id, @into_id)
ON CONFLICT ON CONSTRAINT chat_merges_pkey DO UPDATE SET into_id = excluded.into_id;

-- name: DueMerges :many
-- DueMerges lists chats that are to be merged into others since before a time.
SELECT g.chat_id, i.name AS instance
FROM chat_merges g
JOIN chats c ON c.id = g.chat_id
JOIN instances i ON i.id = c.instance_id
WHERE g.asked_at <= @asked_before::timestamptz
ORDER BY g.asked_at, g.chat_id
LIMIT @max_rows;

-- name: MergeOf :one
-- MergeOf tells into which chat one is to be merged.
SELECT into_id FROM chat_merges WHERE chat_id = @chat_id;

-- name: LockSettled :many
-- LockSettled locks some settled messages of a chat, in one order.
SELECT k.id
FROM (
    SELECT f.id FROM (
        SELECT m.id FROM messages m
        WHERE m.chat_id = @chat_id AND m.settled_at IS NOT NULL
        ORDER BY m.created_at DESC, m.seq DESC
        LIMIT @max_rows
    ) f ORDER BY f.id
) s
CROSS JOIN LATERAL (
    SELECT m.id FROM messages m WHERE m.id = s.id AND m.chat_id = @chat_id AND m.settled_at IS NOT NULL LIMIT 1 FOR NO KEY UPDATE
) k;

-- name: LockChats :many
-- LockChats keeps everybody from adding to chats. Whoever is adding to one just
-- now makes it fail: they may be in a caller's transaction, which can take its time.
SELECT id FROM chats WHERE id = ANY(@ids::bigint[]) ORDER BY id FOR UPDATE NOWAIT;

-- name: LockAll :many
-- LockAll locks what is left in a chat. It fails, too, instead of waiting with the
-- chat locked for somebody who waits for that.
SELECT m.id, (m.settled_at IS NULL)::boolean AS open FROM messages m
WHERE m.chat_id = @chat_id
ORDER BY m.id
FOR NO KEY UPDATE NOWAIT;

-- name: DropDoubles :exec
-- DropDoubles removes, for those of the given messages that have a row in another
-- chat too, one of the two: not the one that we sent, nor the older. Statuses
-- match by the gateway's id alone, so both have the same. What answers the one
-- that goes answers the other then, and whoever wrote it is told all the same that
-- it was read.
WITH doubles AS MATERIALIZED (
    SELECT CASE WHEN w.keeps THEN o.id ELSE m.id END AS id, CASE WHEN w.keeps THEN m.id ELSE o.id END AS kept
    FROM (SELECT unnest(@ids::uuid[]) AS id) t
    CROSS JOIN LATERAL (SELECT x.* FROM messages x WHERE x.id = t.id LIMIT 1) m
    CROSS JOIN LATERAL (
        SELECT x.id, x.seq, x.attempt FROM messages x
        WHERE x.gateway_message_id = m.gateway_message_id AND x.instance_id + 0 = m.instance_id AND x.chat_id = @into_id LIMIT 1
    ) o
    CROSS JOIN LATERAL (SELECT m.attempt > 0 OR o.attempt = 0 AND m.seq < o.seq AS keeps) w
), answers AS (
    UPDATE messages r SET reply_to = d.kept
    FROM doubles d
    WHERE r.chat_id IN (@chat_id::bigint, @into_id::bigint) AND r.reply_to = d.id
), receipts AS (
    INSERT INTO read_receipts (message_id, asked_at, next_attempt_at, attempt, done_at, error_code, error_text)
    SELECT d.kept, p.asked_at, p.next_attempt_at, p.attempt, p.done_at, p.error_code, p.error_text
    FROM doubles d
    CROSS JOIN LATERAL (SELECT y.* FROM read_receipts y WHERE y.message_id = d.id LIMIT 1) p
    JOIN messages k ON k.id = d.kept AND k.direction = 'inbound'
    ON CONFLICT ON CONSTRAINT read_receipts_pkey DO NOTHING
)
DELETE FROM messages m USING doubles d WHERE m.id = d.id;

-- name: MoveMessages :execrows
-- MoveMessages moves messages from one chat to another. They keep their places in
-- the order of acceptance.
UPDATE messages SET chat_id = @into_id WHERE id = ANY(@ids::uuid[]) AND chat_id = @chat_id;

-- name: JoinChats :exec
-- JoinChats gives a chat what is left of another, which is then no more, and calls
-- it by the given one of their addresses. Both are locked.
WITH moved AS (
    UPDATE addresses SET chat_id = @into_id, joined_at = clock_timestamp() WHERE chat_id = @chat_id
), labelled AS (
    INSERT INTO chat_labels (chat_id, label, gateway_message_id, present, told_at)
    SELECT @into_id, l.label, l.gateway_message_id, l.present, l.told_at FROM chat_labels l WHERE l.chat_id = @chat_id
    ON CONFLICT ON CONSTRAINT chat_labels_pkey DO NOTHING
), called AS (
    UPDATE calls SET chat_id = @into_id WHERE chat_id = @chat_id
), pointed AS (
    UPDATE chat_merges SET into_id = @into_id WHERE into_id = @chat_id AND chat_id <> @into_id
), known AS (
    INSERT INTO contacts (instance_id, jid, name)
    SELECT p.instance_id, @jid, p.name
    FROM chats c JOIN contacts p ON p.instance_id = c.instance_id AND p.jid = c.jid
    WHERE c.id IN (@chat_id::bigint, @into_id::bigint)
    ORDER BY c.id <> @into_id
    LIMIT 1
    ON CONFLICT ON CONSTRAINT contacts_pkey DO NOTHING
)
UPDATE chats i
SET unread = i.unread + f.unread, last_message_at = GREATEST(i.last_message_at, f.last_message_at), name = COALESCE(i.name, f.name),
    tat = GREATEST(i.tat, f.tat), slot_at = GREATEST(i.slot_at, f.slot_at)
FROM chats f
WHERE i.id = @into_id AND f.id = @chat_id;

-- name: EndChat :exec
-- EndChat removes a chat that was merged into another.
DELETE FROM chats WHERE id = @chat_id;

-- name: SetChatJID :exec
UPDATE chats SET jid = @jid WHERE id = @id AND jid <> @jid;

-- name: LookAfterChat :exec
-- LookAfterChat is LookAfter for the instance of a chat.
SELECT pg_notify('msgorch_relay', ''), pg_notify('msgorch_pull', i.name)
FROM chats c JOIN instances i ON i.id = c.instance_id WHERE c.id = @id;
