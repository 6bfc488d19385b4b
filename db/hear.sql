-- name: StoreEvents :many
-- StoreEvents stores raw gateway events that arrived together. It answers with
-- the new ones; a missing one repeats an earlier body of its instance.
INSERT INTO gateway_events (id, instance_id, event, body, body_hash, state, reason, chat, written_at, task_batch)
SELECT e.id, e.instance_id, e.event, e.body, e.body_hash, e.state::event_state, NULLIF(e.reason, ''),
       NULLIF(e.chat, ''), NULLIF(e.written_at, '0001-01-01 00:00:00+00'),
       NULLIF(@task_batch::uuid, '00000000-0000-0000-0000-000000000000')
FROM (
    SELECT unnest(@ids::uuid[]) AS id,
           unnest(@instance_ids::bigint[]) AS instance_id,
           unnest(@events::text[]) AS event,
           unnest(@bodies::bytea[]) AS body,
           unnest(@body_hashes::bytea[]) AS body_hash,
           unnest(@states::text[]) AS state,
           unnest(@reasons::text[]) AS reason,
           unnest(@chats::text[]) AS chat,
           unnest(@written_ats::timestamptz[]) AS written_at
) e
ON CONFLICT ON CONSTRAINT gateway_events_body_key DO NOTHING
RETURNING id;

-- name: EventByBody :one
-- EventByBody finds the event that a repeated body repeats.
SELECT id FROM gateway_events WHERE instance_id = @instance_id AND body_hash = @body_hash;

-- name: LockPendingEvents :many
-- LockPendingEvents reads the events that are still to be applied, and keeps
-- other workers from applying them too. With an event that holds a message of a
-- chat come those of the same chat that were written before it and still wait:
-- so messages are applied in the order in which they were written, whichever
-- task comes first. Locked in one order.
WITH wanted AS (
    SELECT w.id, w.instance_id, w.chat, w.written_at
    FROM (SELECT unnest(@ids::uuid[]) AS id) a
    CROSS JOIN LATERAL (SELECT * FROM gateway_events g WHERE g.id = a.id AND g.state::text = 'pending' LIMIT 1) w
), earlier AS (
    SELECT f.id
    FROM (SELECT instance_id, chat, max(written_at) AS until FROM wanted WHERE chat IS NOT NULL GROUP BY instance_id, chat) u
    CROSS JOIN LATERAL (
        SELECT p.id FROM gateway_events p
        WHERE p.instance_id = u.instance_id AND p.chat = u.chat AND p.state = 'pending' AND p.written_at <= u.until
        OFFSET 0 -- holds the planner to the index, as LIMIT 1 does
    ) f
)
SELECT e.id, e.instance_id, e.event, e.body, e.attempt, e.received_at, i.name AS instance, i.gateway
FROM (SELECT id FROM wanted UNION SELECT id FROM earlier ORDER BY id) a
CROSS JOIN LATERAL (
    SELECT * FROM gateway_events g WHERE g.id = a.id AND g.state::text = 'pending' LIMIT 1 FOR NO KEY UPDATE OF g
) e
JOIN instances i ON i.id = e.instance_id
ORDER BY e.id;

-- name: FinishEvents :exec
-- FinishEvents records what became of events. The cast keeps the planner from
-- reading all that is pending instead of the events by their ids.
UPDATE gateway_events e
SET state = t.state::event_state, reason = NULLIF(t.reason, ''), applied_at = now(), attempt = e.attempt + 1
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::text[]) AS state, unnest(@reasons::text[]) AS reason) t
WHERE e.id = t.id AND e.state::text = 'pending';

-- name: CountEventAttempt :one
-- CountEventAttempt notes that an event could not be applied this time.
UPDATE gateway_events SET attempt = attempt + 1 WHERE id = @id AND state = 'pending'
RETURNING attempt;

-- name: OverdueEvents :many
-- OverdueEvents lists events that wait since before the given time, after a
-- position, oldest first: what Redis should know of.
SELECT e.id, e.event, e.attempt, e.task_batch, e.received_at, i.name AS instance
FROM gateway_events e
JOIN instances i ON i.id = e.instance_id
WHERE e.state = 'pending' AND e.received_at <= @received_before::timestamptz
  AND (e.received_at, e.id) > (@after_at::timestamptz, @after_id::uuid)
ORDER BY e.received_at, e.id
LIMIT @max_rows;

-- name: EnsureChats :exec
-- EnsureChats makes the chats that no address leads to yet, whether they move just
-- now or have done so long ago. Locked in one order: whoever adds an address first
-- makes its chat, and others wait until that is committed.
WITH opened AS (
    INSERT INTO addresses (address, instance_id, jid, chat_id)
    SELECT n.address, n.instance_id, n.jid, nextval('chats_id_seq')
    FROM (
        SELECT DISTINCT ON (t.address, t.instance_id) t.*
        FROM (SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@jids::text[]) AS jid, unnest(@addresses::text[]) AS address) t
        WHERE (SELECT a.chat_id FROM addresses a WHERE a.address = t.address AND a.instance_id = t.instance_id LIMIT 1) IS NULL
        ORDER BY t.address, t.instance_id
    ) n
    ON CONFLICT ON CONSTRAINT addresses_pkey DO NOTHING
    RETURNING instance_id, jid, chat_id
)
INSERT INTO chats (id, instance_id, jid, last_message_at) OVERRIDING SYSTEM VALUE
SELECT o.chat_id, o.instance_id, o.jid, CASE WHEN @moves::boolean THEN now() END FROM opened o;

-- name: NameChats :exec
-- NameChats gives chats the names that they have now.
WITH told AS (
    SELECT DISTINCT ON (n.chat_id) n.chat_id, n.name
    FROM (
        SELECT t.ord, t.name,
               (SELECT a.chat_id FROM addresses a WHERE a.address = t.address AND a.instance_id = t.instance_id LIMIT 1) AS chat_id
        FROM (
            SELECT row_number() OVER () AS ord, r.*
            FROM (SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@addresses::text[]) AS address, unnest(@names::text[]) AS name) r
        ) t
    ) n
    ORDER BY n.chat_id, n.ord DESC
), locked AS (
    SELECT k.id, t.name
    FROM told t
    CROSS JOIN LATERAL (SELECT c.id FROM chats c WHERE c.id = t.chat_id AND c.name IS DISTINCT FROM t.name LIMIT 1 FOR NO KEY UPDATE) k
)
UPDATE chats c SET name = l.name FROM locked l WHERE c.id = l.id;

-- name: UpsertContacts :exec
-- UpsertContacts remembers the names that people chose.
INSERT INTO contacts (instance_id, jid, name)
SELECT t.instance_id, t.jid, max(t.name)
FROM (SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@jids::text[]) AS jid, unnest(@names::text[]) AS name) t
WHERE t.name <> ''
GROUP BY t.instance_id, t.jid
ORDER BY t.instance_id, t.jid
ON CONFLICT ON CONSTRAINT contacts_pkey
DO UPDATE SET name = excluded.name, updated_at = now() WHERE contacts.name IS DISTINCT FROM excluded.name;

-- name: StoreHeard :many
-- StoreHeard stores messages that gateways reported, once each: a repeat of
-- (instance, gateway id, chat) is left as it is, whatever it says now. Their
-- chats must exist. It answers with the new ones, whose chats it brings up to
-- date: what people write counts as unread, what our account writes reads it
-- all. Empty text and the zero time mean null; a message from the history
-- (counts false) makes nothing unread.
WITH told AS (
    SELECT row_number() OVER () AS ord, t.*,
           (SELECT a.chat_id FROM addresses a WHERE a.instance_id = t.instance_id AND a.address = t.address LIMIT 1) AS chat_id
    FROM (
        SELECT unnest(@ids::uuid[]) AS id,
               unnest(@instance_ids::bigint[]) AS instance_id,
               unnest(@addresses::text[]) AS address,
               unnest(@directions::text[])::message_direction AS direction,
               unnest(@types::text[]) AS type,
               unnest(@texts::text[]) AS text,
               unnest(@contents::text[]) AS content,
               unnest(@senders::text[]) AS sender,
               unnest(@gateway_message_ids::text[]) AS gateway_message_id,
               unnest(@quoted_ids::text[]) AS quoted_id,
               unnest(@written_ats::timestamptz[]) AS written_at,
               unnest(@counts::boolean[]) AS counts
    ) t
), fresh AS (
    INSERT INTO messages (
        id, instance_id, chat_id, direction, status, type, text, content, sender, gateway_message_id,
        reply_to, history, created_at, accepted_at, settled_at
    )
    SELECT t.id, t.instance_id, t.chat_id, t.direction, s.status, t.type, NULLIF(t.text, ''), NULLIF(t.content, '')::jsonb,
           NULLIF(t.sender, ''), t.gateway_message_id,
           (SELECT q.id FROM messages q
            WHERE q.instance_id + 0 = t.instance_id AND q.gateway_message_id = NULLIF(t.quoted_id, '') LIMIT 1),
           jsonb_build_array(jsonb_build_object('status', s.status, 'at', now())),
           t.written_at, CASE WHEN t.direction = 'outbound' THEN now() END, now()
    FROM told t
    CROSS JOIN LATERAL (
        SELECT (CASE WHEN t.direction = 'outbound' THEN 'accepted' ELSE 'received' END)::message_status AS status
    ) s
    WHERE t.chat_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM messages m
        WHERE m.instance_id + 0 = t.instance_id AND m.gateway_message_id = t.gateway_message_id AND m.chat_id <> t.chat_id AND m.direction = 'outbound')
    ORDER BY t.ord
    ON CONFLICT (instance_id, gateway_message_id, chat_id) WHERE gateway_message_id IS NOT NULL DO NOTHING
    RETURNING id, chat_id, direction, created_at
), news AS (
    SELECT f.chat_id, max(f.created_at) AS last_message_at,
           count(*) FILTER (WHERE f.direction = 'inbound' AND k.ids ->> f.id::text IS NOT NULL)::integer AS received,
           bool_or(f.direction = 'outbound' AND k.ids ->> f.id::text IS NOT NULL) AS answered
    FROM fresh f
    CROSS JOIN (SELECT jsonb_object_agg(t.id, true) FILTER (WHERE t.counts) AS ids FROM told t) k
    GROUP BY f.chat_id
), bumped AS (
    UPDATE chats c
    SET last_message_at = GREATEST(c.last_message_at, n.last_message_at),
        unread = CASE WHEN n.answered THEN 0 ELSE c.unread + n.received END
    FROM news n WHERE c.id = n.chat_id
)
SELECT f.id FROM fresh f;

-- name: KnownGatewayIDs :many
-- KnownGatewayIDs tells which of the reported messages have a row, and, of those
-- that we sent, where to: else chat is empty.
SELECT DISTINCT t.gateway_message_id::text AS gateway_message_id, k.chat::text AS chat
FROM (SELECT unnest(@gateway_message_ids::text[]) AS gateway_message_id) t
CROSS JOIN LATERAL (
    SELECT CASE WHEN m.attempt > 0 THEN (SELECT c.jid FROM chats c WHERE c.id = m.chat_id) ELSE '' END AS chat
    FROM messages m WHERE m.instance_id + 0 = @instance_id::bigint AND m.gateway_message_id = t.gateway_message_id LIMIT 1
) k;

-- name: InFlight :one
-- InFlight tells whether a message with this text is on its way to the gateway
-- right now, so that the gateway's report of it is not taken for another one.
-- It does not compare chats: a gateway may name the same person otherwise.
SELECT EXISTS (
    SELECT 1 FROM messages m
    WHERE m.settled_at IS NULL AND m.seq > 0 AND m.instance_id = @instance_id
      AND m.status = 'sending' AND m.text = @text::text
);

-- name: ApplyEvidence :many
-- ApplyEvidence folds what gateways say of messages' ways into their rows.
-- Status is the best evidence so far and does not depend on the order in which
-- it arrives, nor on repeats: the times of evidence only ever become earlier,
-- and status is a function of them. A failure counts until the message is
-- delivered; a failure of ours is overruled by any sign that it was sent after
-- all. Inbound messages only learn that we read them. It answers with what was
-- told and whether a row was there for it.
WITH told AS (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id,
           unnest(@gateway_message_ids::text[]) AS gateway_message_id,
           unnest(@statuses::text[])::message_status AS status,
           unnest(@ats::timestamptz[]) AS at,
           unnest(@reasons::text[]) AS reason
), merged AS (
    SELECT t.instance_id, t.gateway_message_id,
           min(t.at) AS accepted_at,
           min(t.at) FILTER (WHERE t.status = 'failed') AS failed_at,
           min(t.at) FILTER (WHERE t.status >= 'sent') AS sent_at,
           min(t.at) FILTER (WHERE t.status >= 'delivered') AS delivered_at,
           min(t.at) FILTER (WHERE t.status >= 'read') AS read_at,
           min(t.at) FILTER (WHERE t.status = 'played') AS played_at,
           min(t.at) FILTER (WHERE t.status = 'sent') AS told_sent_at,
           min(t.at) FILTER (WHERE t.status = 'delivered') AS told_delivered_at,
           min(t.at) FILTER (WHERE t.status = 'read') AS told_read_at,
           max(t.reason) FILTER (WHERE t.status = 'failed') AS reason
    FROM told t
    GROUP BY t.instance_id, t.gateway_message_id
), locked AS (
    SELECT m.id, m.chat_id, m.direction,
           m.sent_at AS old_sent_at, m.delivered_at AS old_delivered_at, m.read_at AS old_read_at, m.played_at AS old_played_at,
           -- A failure without acceptance was our own judgement.
           CASE WHEN m.accepted_at IS NOT NULL THEN m.stopped_at END AS old_failed_at,
           e.*
    FROM (
        SELECT f.id AS message_id, g.*
        FROM merged g
        CROSS JOIN LATERAL (
            SELECT x.id FROM messages x
            WHERE x.instance_id + 0 = g.instance_id AND x.gateway_message_id = g.gateway_message_id
            OFFSET 0 -- holds the planner to the index, as LIMIT 1 does
        ) f
        ORDER BY f.id
    ) e
    CROSS JOIN LATERAL (SELECT * FROM messages x WHERE x.id = e.message_id LIMIT 1 FOR NO KEY UPDATE OF x) m
), best AS (
    SELECT k.*,
           LEAST(k.old_sent_at, k.sent_at) AS best_sent_at,
           LEAST(k.old_delivered_at, k.delivered_at) AS best_delivered_at,
           LEAST(k.old_read_at, k.read_at) AS best_read_at,
           LEAST(k.old_played_at, k.played_at) AS best_played_at,
           LEAST(k.old_failed_at, k.failed_at) AS best_failed_at,
           LEAST(k.old_delivered_at, k.delivered_at) IS NULL AND LEAST(k.old_failed_at, k.failed_at) IS NOT NULL AS failed
    FROM locked k
), moved AS (
    UPDATE messages m
    SET status = CASE
            WHEN b.best_played_at IS NOT NULL THEN 'played'
            WHEN b.best_read_at IS NOT NULL THEN 'read'
            WHEN b.best_delivered_at IS NOT NULL THEN 'delivered'
            WHEN b.failed THEN 'failed'
            WHEN b.best_sent_at IS NOT NULL THEN 'sent'
            ELSE 'accepted' END::message_status,
        accepted_at = LEAST(m.accepted_at, b.accepted_at),
        sent_at = b.best_sent_at,
        delivered_at = b.best_delivered_at,
        read_at = b.best_read_at,
        played_at = b.best_played_at,
        stopped_at = CASE WHEN b.failed THEN b.best_failed_at END,
        settled_at = COALESCE(m.settled_at, now()),
        lease_until = NULL,
        ack_overdue_at = CASE WHEN b.best_sent_at IS NULL AND NOT b.failed THEN m.ack_overdue_at END,
        error_code = CASE WHEN b.failed THEN COALESCE(m.error_code, 'gateway_reported_failure') END,
        error_text = CASE WHEN b.failed THEN COALESCE(m.error_text, NULLIF(b.reason, ''), 'The gateway reported that it could not be delivered.') END,
        -- Each status once, in whatever order they are told; a retried message tells them again.
        history = m.history
            || CASE WHEN b.failed_at IS NOT NULL AND (b.old_failed_at IS NULL AND b.best_delivered_at IS NULL OR NOT m.history @> '[{"status": "failed"}]')
               THEN jsonb_build_array(jsonb_build_object('status', 'failed', 'at', b.failed_at)) ELSE '[]' END
            || CASE WHEN b.told_sent_at IS NOT NULL AND (b.old_sent_at IS NULL OR NOT m.history @> '[{"status": "sent"}]')
               THEN jsonb_build_array(jsonb_build_object('status', 'sent', 'at', b.told_sent_at)) ELSE '[]' END
            || CASE WHEN b.told_delivered_at IS NOT NULL AND (b.old_delivered_at IS NULL OR NOT m.history @> '[{"status": "delivered"}]')
               THEN jsonb_build_array(jsonb_build_object('status', 'delivered', 'at', b.told_delivered_at)) ELSE '[]' END
            || CASE WHEN b.told_read_at IS NOT NULL AND (b.old_read_at IS NULL OR NOT m.history @> '[{"status": "read"}]')
               THEN jsonb_build_array(jsonb_build_object('status', 'read', 'at', b.told_read_at)) ELSE '[]' END
            || CASE WHEN b.played_at IS NOT NULL AND b.old_played_at IS NULL
               THEN jsonb_build_array(jsonb_build_object('status', 'played', 'at', b.played_at)) ELSE '[]' END
    FROM best b
    WHERE m.id = b.id AND b.direction = 'outbound'
    RETURNING m.id
), seen AS (
    UPDATE messages m
    SET read_at = b.best_read_at, played_at = b.best_played_at
    FROM best b
    WHERE m.id = b.id AND b.direction = 'inbound' AND b.read_at IS NOT NULL
    RETURNING m.id, m.chat_id
), cleared AS (
    UPDATE chats c SET unread = 0
    WHERE c.id = ANY(ARRAY(SELECT s.chat_id FROM seen s)) AND c.unread > 0
), early AS (
    INSERT INTO early_evidence (instance_id, gateway_message_id, status, at, reason)
    SELECT t.instance_id, t.gateway_message_id, t.status, min(t.at), NULLIF(max(t.reason), '')
    FROM told t
    WHERE (SELECT m.id FROM messages m
           WHERE m.instance_id + 0 = t.instance_id AND m.gateway_message_id = t.gateway_message_id LIMIT 1) IS NULL
    GROUP BY t.instance_id, t.gateway_message_id, t.status
    ORDER BY t.instance_id, t.gateway_message_id, t.status
    ON CONFLICT ON CONSTRAINT early_evidence_pkey DO UPDATE SET at = LEAST(early_evidence.at, excluded.at)
)
SELECT id FROM moved;

-- name: TakeEarlyEvidence :many
-- TakeEarlyEvidence removes and returns the evidence, received since a time,
-- that has found its row.
DELETE FROM early_evidence e
USING (
    SELECT DISTINCT v.instance_id, v.gateway_message_id
    FROM early_evidence v
    CROSS JOIN LATERAL (
        SELECT m.id FROM messages m WHERE m.instance_id + 0 = v.instance_id AND m.gateway_message_id = v.gateway_message_id LIMIT 1
    ) m
    WHERE v.received_at >= @since::timestamptz
    ORDER BY 1, 2
    LIMIT @max_rows
) found
WHERE e.instance_id = found.instance_id AND e.gateway_message_id = found.gateway_message_id
RETURNING e.instance_id, e.gateway_message_id, e.status::text AS status, e.at, COALESCE(e.reason, '')::text AS reason;

-- name: SetConnection :exec
-- SetConnection records the state of an instance's session. An open session
-- ends a block, and a pause that a failure had caused; one that a person ordered
-- stays.
UPDATE instances
SET connection = @connection,
    opened_at = CASE WHEN @connection = 'open' THEN now() ELSE opened_at END,
    failures = CASE WHEN @connection = 'open' THEN 0 ELSE failures END,
    blocked_until = CASE WHEN @connection = 'open' THEN NULL ELSE blocked_until END,
    block_reason = CASE WHEN @connection = 'open' THEN NULL ELSE block_reason END,
    slot_at = CASE WHEN @connection = 'open' THEN NULL ELSE slot_at END,
    paused_at = CASE WHEN @connection = 'open' AND pause_reason IS DISTINCT FROM 'operator' THEN NULL ELSE paused_at END,
    pause_reason = CASE WHEN @connection = 'open' AND pause_reason IS DISTINCT FROM 'operator' THEN NULL ELSE pause_reason END,
    updated_at = now()
WHERE id = @id;

-- name: EditHeard :exec
-- EditHeard gives messages their new texts, unless a later edit did before. They
-- match by the gateway's id alone.
WITH told AS (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id,
           unnest(@gateway_message_ids::text[]) AS gateway_message_id,
           unnest(@texts::text[]) AS text,
           unnest(@ats::timestamptz[]) AS at
), found AS (
    SELECT k.id, t.text, t.at
    FROM (SELECT DISTINCT ON (instance_id, gateway_message_id) * FROM told ORDER BY instance_id, gateway_message_id, at DESC) t
    CROSS JOIN LATERAL (
        SELECT m.id FROM messages m
        WHERE m.instance_id + 0 = t.instance_id AND m.gateway_message_id = t.gateway_message_id
        OFFSET 0
    ) k
)
UPDATE messages m
SET text = NULLIF(f.text, ''), edited_at = f.at
FROM found f
WHERE m.id = f.id AND (m.edited_at IS NULL OR m.edited_at < f.at) AND m.deleted_at IS NULL;

-- name: DeleteHeard :exec
-- DeleteHeard notes that messages were deleted for everyone. What they said stays
-- in our history.
WITH told AS (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id,
           unnest(@gateway_message_ids::text[]) AS gateway_message_id,
           unnest(@ats::timestamptz[]) AS at
), found AS (
    SELECT k.id, min(t.at) AS at
    FROM told t
    CROSS JOIN LATERAL (
        SELECT m.id FROM messages m
        WHERE m.instance_id + 0 = t.instance_id AND m.gateway_message_id = t.gateway_message_id
        OFFSET 0
    ) k
    GROUP BY k.id
)
UPDATE messages m
SET deleted_at = f.at
FROM found f
WHERE m.id = f.id AND m.deleted_at IS NULL;

-- name: AdoptOurs :many
-- AdoptOurs gives messages in doubt the ids under which their gateway reports
-- them, because it echoes ours.
WITH told AS (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id,
           unnest(@ids::uuid[]) AS id,
           unnest(@gateway_message_ids::text[]) AS gateway_message_id
), locked AS (
    SELECT k.id, t.gateway_message_id
    FROM (SELECT DISTINCT ON (id) * FROM told ORDER BY id, gateway_message_id) t
    CROSS JOIN LATERAL (
        SELECT m.id FROM messages m
        WHERE m.id = t.id AND m.instance_id + 0 = t.instance_id AND m.status = 'unknown' AND m.gateway_message_id IS NULL
        LIMIT 1
        FOR NO KEY UPDATE OF m
    ) k
)
UPDATE messages m
SET status = 'accepted', gateway_message_id = k.gateway_message_id, accepted_at = now(), settled_at = now(),
    lease_until = NULL, error_code = NULL, error_text = NULL,
    history = m.history || jsonb_build_object('status', 'accepted', 'at', now())
FROM locked k
WHERE m.id = k.id AND m.status = 'unknown'
RETURNING m.id;
