-- name: ClaimHeads :many
-- ClaimHeads leases the oldest unsettled message of each chat that the given
-- messages belong to. A chat whose head is being sent, or must wait, or whose
-- instance is paused, gives none: so the second message of a chat never
-- overtakes the first. Nor does one whose instance is blocked, or paced: its
-- slots are handed out by ClaimNext. A head in doubt is leased to be asked
-- about, as it is, and needs no slot; one that is held for a person (in doubt without a time) stands in nobody's
-- way. The row lock waits on purpose: SKIP LOCKED could hand out nothing to the
-- only one who asks. Heads are locked in one order, so that two of these never
-- deadlock. Timers may fire a little early: hence the second of tolerance.
-- Each LATERAL … LIMIT 1 is a look at one row by an index, and stays one, whatever
-- the planner thought of the tables when they were empty.
-- What was accepted while the claim was being planned has a later now() than the
-- claim: hence the clock's time in its history.
-- asked_id tells which of the given messages led to the head; started_at and
-- lost_at and doubt_code are about the attempt in doubt.
WITH lanes AS (
    SELECT DISTINCT ON (q.chat_id) q.chat_id, a.id::uuid AS asked_id
    FROM (SELECT unnest(@ids::uuid[]) AS id) a
    CROSS JOIN LATERAL (SELECT m.chat_id FROM messages m WHERE m.id = a.id LIMIT 1) q
    ORDER BY q.chat_id
), heads AS (
    SELECT h.id, h.instance_id, h.attempt, l.asked_id, l.chat_id
    FROM lanes l CROSS JOIN LATERAL (
        SELECT m.id, m.seq, m.instance_id, m.status, m.attempt, m.next_attempt_at, m.lease_until
        FROM messages m
        WHERE m.chat_id = l.chat_id AND m.settled_at IS NULL
          AND (m.status <> 'unknown' OR m.next_attempt_at IS NOT NULL)
          AND (m.status <> 'scheduled' OR m.next_attempt_at <= now())
        ORDER BY m.seq
        LIMIT 1
    ) h
    WHERE h.status <> 'sending' AND h.next_attempt_at <= now() + interval '1 second'
      AND (h.lease_until IS NULL OR h.lease_until < now())
      -- One that was accepted before, and committed after, must not pass it.
      AND (SELECT s.id FROM messages s
           WHERE s.chat_id = l.chat_id AND s.seq > h.seq AND s.settled_at IS NULL AND s.status = 'sending'
           ORDER BY s.seq LIMIT 1) IS NULL
    ORDER BY h.id
)
UPDATE messages m
SET status = CASE WHEN m.status = 'unknown' THEN m.status ELSE 'sending' END,
    attempt = CASE WHEN m.status = 'unknown' THEN m.attempt ELSE m.attempt + 1 END,
    lease_until = now() + @lease::interval,
    history = CASE WHEN m.status = 'unknown' THEN m.history ELSE m.history || jsonb_build_object('status', 'sending', 'at', clock_timestamp()) END
FROM heads k
LEFT JOIN LATERAL (
    SELECT a.* FROM attempts a WHERE k.attempt > 0 AND a.message_id = k.id AND a.attempt = k.attempt LIMIT 1
) t ON true
CROSS JOIN LATERAL (SELECT n.* FROM instances n WHERE n.id = k.instance_id LIMIT 1) i
CROSS JOIN LATERAL (SELECT o.jid FROM chats o WHERE o.id = k.chat_id LIMIT 1) c
-- Looked at again with the row in hand: another may have had it meanwhile, or its chat was merged.
WHERE m.id = k.id AND m.chat_id + 0 = k.chat_id AND m.attempt = k.attempt AND m.status IN ('queued', 'scheduled', 'unknown')
  AND (m.lease_until IS NULL OR m.lease_until < now())
  AND i.paused_at IS NULL
  AND (NOT i.paced OR m.status = 'unknown')
  AND (i.blocked_until IS NULL OR i.blocked_until <= now() OR m.status = 'unknown' AND i.failures = 0)
RETURNING k.asked_id, m.id, m.status, m.attempt, m.max_attempts, m.type, m.text, m.content, m.priority, m.expires_at,
          m.instance_id, m.chat_id, i.name AS instance, i.gateway, i.base_url, i.credential, i.phone_number_id, i.in_doubt, i.failures, i.paced, i.daily_cap,
          c.jid AS chat,
          (SELECT q.gateway_message_id FROM messages q WHERE q.id = m.reply_to) AS quoted_id,
          COALESCE((SELECT q.direction = 'outbound' FROM messages q WHERE q.id = m.reply_to), false)::boolean AS quotes_us,
          COALESCE(t.started_at, now())::timestamptz AS started_at,
          COALESCE(t.started_at + t.duration_ms * interval '1 millisecond', now())::timestamptz AS lost_at,
          COALESCE(t.code, '')::text AS doubt_code;

-- name: RenewLeases :many
-- RenewLeases prolongs the leases of messages that are still in hand. A missing
-- one has been taken for lost, and is in doubt; or its outcome is being recorded
-- just now. It waits for no row, so that it never deadlocks with that.
WITH held AS (
    SELECT k.id
    FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@attempts::integer[]) AS attempt) t
    CROSS JOIN LATERAL (
        SELECT m.id FROM messages m
        WHERE m.id = t.id AND m.attempt = t.attempt AND m.lease_until IS NOT NULL AND m.status IN ('sending', 'unknown')
        LIMIT 1
        FOR NO KEY UPDATE OF m SKIP LOCKED
    ) k
)
UPDATE messages m
SET lease_until = now() + @lease::interval
WHERE m.id = ANY(ARRAY(SELECT h.id FROM held h))
RETURNING m.id;

-- name: SettleAttempts :many
-- SettleAttempts records what came of attempts: the message's next status, and
-- the attempt itself. The attempt's number is the fencing value: as long as no
-- later attempt was begun, what came of this one is the truth about it, even
-- when its worker was taken for lost meanwhile. An outcome without an attempt
-- (expired, or a doubt that was resolved) has http_status -1. A message in
-- doubt is asked about after wait_ms, or, when that is negative, held for a
-- person. It answers with the messages that were settled; for a missing one a
-- later attempt was begun. has_early tells that evidence was waiting for the
-- gateway's id; chat_id is the chat, which may have been merged meanwhile. Rows are
-- locked in the order of claims: a claim that came late for a row keeps its lock
-- until it ends.
WITH told AS (
    SELECT unnest(@ids::uuid[]) AS id,
           unnest(@attempts::integer[]) AS attempt,
           unnest(@statuses::text[])::message_status AS status,
           unnest(@gateway_message_ids::text[]) AS gateway_message_id,
           unnest(@refunds::integer[]) AS refund,
           unnest(@waits::bigint[]) AS wait_ms,
           unnest(@outcomes::text[]) AS outcome,
           unnest(@codes::text[]) AS code,
           unnest(@reasons::text[]) AS reason,
           unnest(@http_statuses::integer[]) AS http_status,
           unnest(@started_ats::timestamptz[]) AS started_at,
           unnest(@durations::integer[]) AS duration_ms
), done AS (
    UPDATE messages m
    SET status = t.status,
        gateway_message_id = NULLIF(t.gateway_message_id, ''),
        max_attempts = m.max_attempts + t.refund,
        lease_until = NULL,
        next_attempt_at = CASE
            WHEN t.status IN ('queued', 'unknown') AND t.wait_ms >= 0 THEN now() + t.wait_ms * interval '1 millisecond'
            WHEN t.status = 'unknown' THEN NULL
            ELSE m.next_attempt_at END,
        error_code = NULLIF(t.code, ''),
        error_text = NULLIF(t.reason, ''),
        history = CASE WHEN m.status = t.status THEN m.history ELSE m.history || jsonb_build_object('status', t.status, 'at', now()) END,
        accepted_at = CASE WHEN t.status = 'accepted' THEN now() END,
        stopped_at = CASE WHEN t.status IN ('failed', 'expired') THEN now() END,
        settled_at = CASE WHEN t.status NOT IN ('queued', 'unknown') THEN now() END
    FROM (SELECT * FROM told ORDER BY id) t
    WHERE m.id = t.id AND m.status IN ('sending', 'unknown') AND m.attempt = t.attempt
    RETURNING m.id, m.instance_id, m.chat_id, t.attempt, t.gateway_message_id, t.started_at, t.duration_ms, t.outcome, t.http_status, t.code, t.reason
), logged AS (
    INSERT INTO attempts (message_id, attempt, started_at, duration_ms, outcome, http_status, code, reason)
    SELECT t.id, t.attempt, t.started_at, t.duration_ms, t.outcome, NULLIF(t.http_status, 0), NULLIF(t.code, ''), NULLIF(t.reason, '')
    FROM done t
    WHERE t.http_status >= 0
    ON CONFLICT ON CONSTRAINT attempts_pkey DO UPDATE -- its worker was taken for lost, and was not
    SET started_at = excluded.started_at, duration_ms = excluded.duration_ms, outcome = excluded.outcome,
        http_status = excluded.http_status, code = excluded.code, reason = excluded.reason
)
SELECT d.id, d.chat_id, EXISTS (
    SELECT 1 FROM early_evidence e
    WHERE e.instance_id = d.instance_id AND e.gateway_message_id = d.gateway_message_id
) AS has_early
FROM done d;

-- name: DropEcho :execrows
-- DropEcho removes the row that was made for a message reported by its gateway
-- before its own row knew the gateway's id. Only rows that no caller was told
-- of (no attempt, no key, not ours) can be one.
DELETE FROM messages m
WHERE m.instance_id + 0 = @instance_id::bigint AND m.gateway_message_id = @gateway_message_id::text
  AND m.id <> @id AND m.direction = 'outbound' AND m.attempt = 0;

-- name: PauseInstance :execrows
-- PauseInstance stops sending for an instance until it is resumed. Zero rows
-- mean it was paused already.
UPDATE instances SET paused_at = now(), pause_reason = @reason::text, probe_at = now() + @probe_after::interval, updated_at = now()
WHERE id = @id AND paused_at IS NULL;

-- name: BlockInstance :one
-- BlockInstance stops sending for an instance: for as long as its gateway asked
-- (wait_ms), or, when that is zero, until one message alone was accepted. That
-- one is tried at once, because most failures are passing (not so when the
-- gateway asks to slow down), and after each that fails too the next waits longer, from a second to a minute, with jitter.
-- Messages that were on their way when the first failed count for nothing
-- (probe is false), and neither does being asked to wait: a gateway that asks is
-- there, and may be asked about messages in doubt. One that asks to slow down
-- has the instance's rate halved for a minute, and halved again when it asks
-- again (see internal/outbound/limit.go). It answers how long the instance is
-- blocked from now.
UPDATE instances i
SET slowed_until = CASE WHEN a.slow AND (i.blocked_until IS NULL OR i.blocked_until <= now())
        THEN LEAST(GREATEST(i.slowed_until, now()) + a.slow_step, now() + 3 * a.slow_step) ELSE i.slowed_until END,
    slot_at = NULL,
    failures = CASE WHEN a.wait_ms > 0 OR i.failures > 0 AND NOT a.probe THEN i.failures ELSE i.failures + 1 END,
    block_reason = a.reason,
    blocked_until = CASE
        WHEN a.wait_ms > 0 THEN GREATEST(i.blocked_until, now() + a.wait_ms * interval '1 millisecond')
        WHEN i.failures = 0 AND NOT a.slow OR i.failures > 0 AND NOT a.probe THEN i.blocked_until
        ELSE now() + LEAST(2 ^ LEAST(GREATEST(i.failures - 1, 0), 6), 60) * (0.75 + random() / 2) * interval '1 second' END,
    updated_at = now()
FROM (SELECT @id::bigint AS id, @reason::text AS reason, @wait_ms::bigint AS wait_ms, @probe::boolean AS probe, @slow::boolean AS slow, @slow_step::interval AS slow_step) a
WHERE i.id = a.id
RETURNING COALESCE(EXTRACT(epoch FROM i.blocked_until - now()) * 1000, 0)::bigint AS wait_ms;

-- name: UnblockInstance :exec
-- UnblockInstance notes that an instance sends again.
UPDATE instances SET failures = 0, blocked_until = NULL, block_reason = NULL, slot_at = NULL, updated_at = now()
WHERE id = @id AND failures > 0;

-- name: AbandonExpiredLeases :many
-- AbandonExpiredLeases gives up on attempts whose worker was lost: the message
-- may have been sent, so it is in doubt, and its gateway is to be asked. The
-- attempt lasted until the lease was last renewed: nobody knows of more. What was
-- due later than a lease ago, and the second that claims may be early, was not
-- claimed before that: so those that are on their way just now are not looked at.
WITH lost AS (
    SELECT m.id, m.lease_until - @lease::interval AS alive_at FROM messages m
    WHERE m.settled_at IS NULL AND m.next_attempt_at <= now() + interval '1 second' - @lease::interval
      AND m.status = 'sending' AND m.lease_until < now()
    ORDER BY m.id
    LIMIT @max_rows
    FOR NO KEY UPDATE SKIP LOCKED
), done AS (
    UPDATE messages m
    SET status = 'unknown', lease_until = NULL, next_attempt_at = now(),
        error_code = 'worker_lost', error_text = 'The worker that was sending it stopped before recording the outcome.',
        history = m.history || jsonb_build_object('status', 'unknown', 'at', now())
    FROM lost l WHERE m.id = l.id
    RETURNING m.id, m.attempt, m.error_text, l.alive_at, (
        SELECT (h ->> 'at')::timestamptz FROM jsonb_array_elements(m.history) h
        WHERE h ->> 'status' = 'sending' ORDER BY h ->> 'at' DESC LIMIT 1) AS started_at
), logged AS (
    INSERT INTO attempts (message_id, attempt, started_at, duration_ms, outcome, code, reason)
    SELECT d.id, d.attempt, COALESCE(d.started_at, now()),
           GREATEST(EXTRACT(epoch FROM d.alive_at - COALESCE(d.started_at, d.alive_at)) * 1000, 0)::integer,
           'in_doubt', 'worker_lost', d.error_text
    FROM done d
    ON CONFLICT ON CONSTRAINT attempts_pkey DO NOTHING
)
SELECT id FROM done;

-- name: ExpireMessages :many
-- ExpireMessages ends messages that were not sent before they expired, also those
-- that wait for a slot or for their instance and would not be looked at for long.
WITH late AS (
    SELECT m.id FROM messages m
    WHERE m.settled_at IS NULL AND m.expires_at <= now() AND m.status IN ('queued', 'scheduled')
    ORDER BY m.expires_at
    LIMIT @max_rows
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE messages m
SET status = 'expired', stopped_at = now(), settled_at = now(),
    error_code = 'expired', error_text = 'It was not sent before it expired.',
    history = m.history || jsonb_build_object('status', 'expired', 'at', now())
FROM late l
WHERE m.id = l.id
RETURNING m.id;

-- name: DueHeads :many
-- DueHeads lists heads of chats that could be sent since before the given
-- time, after a position, oldest first: what Redis should know of. Those of an
-- instance that a worker looks after, or that is paced, are not among them.
SELECT m.id, m.seq, m.status, m.next_attempt_at::timestamptz AS next_attempt_at, m.attempt, m.task_batch, m.priority,
       m.idempotency_key, m.send_at, i.name AS instance, c.jid AS chat, m.text
FROM messages m
JOIN instances i ON i.id = m.instance_id AND i.paused_at IS NULL
    AND (i.blocked_until IS NULL OR i.blocked_until <= now() OR m.status = 'unknown' AND i.failures = 0)
JOIN chats c ON c.id = m.chat_id
WHERE m.settled_at IS NULL AND m.status IN ('queued', 'scheduled', 'unknown')
  AND (m.status = 'unknown' OR NOT i.paced AND (i.pulled_until IS NULL OR i.pulled_until <= now()))
  AND (m.lease_until IS NULL OR m.lease_until < now())
  AND m.next_attempt_at <= @due_before::timestamptz
  AND (m.next_attempt_at, m.seq) > (@after_at::timestamptz, @after_seq::bigint)
  AND (SELECT p.id FROM messages p
       WHERE p.chat_id = m.chat_id AND p.settled_at IS NULL AND p.seq < m.seq
         AND (p.status IN ('queued', 'sending') OR p.status = 'unknown' AND p.next_attempt_at IS NOT NULL)
       ORDER BY p.seq LIMIT 1) IS NULL
ORDER BY m.next_attempt_at, m.seq
LIMIT @max_rows;

-- name: NextScheduled :one
-- NextScheduled tells when the next scheduled message is due; no row: none is.
SELECT m.next_attempt_at::timestamptz AS next_attempt_at
FROM messages m
WHERE m.settled_at IS NULL AND m.status = 'scheduled' AND m.next_attempt_at > now()
ORDER BY m.next_attempt_at, m.seq
LIMIT 1;

-- name: NextInLanes :many
-- NextInLanes lists the queued heads of the chats of the given messages, for
-- a worker that must stop and hand them to another.
SELECT h.* FROM (
    SELECT DISTINCT q.chat_id
    FROM (SELECT unnest(@ids::uuid[]) AS id) a
    CROSS JOIN LATERAL (SELECT m.chat_id FROM messages m WHERE m.id = a.id LIMIT 1) q
) l
CROSS JOIN LATERAL (
    SELECT m.id, m.status, m.attempt, m.next_attempt_at::timestamptz AS next_attempt_at, m.priority,
           i.name AS instance, c.jid AS chat, m.text
    FROM messages m
    JOIN instances i ON i.id = m.instance_id
    JOIN chats c ON c.id = m.chat_id
    WHERE m.chat_id = l.chat_id AND m.settled_at IS NULL
      AND (m.status IN ('queued', 'sending') OR m.status = 'unknown' AND m.next_attempt_at IS NOT NULL)
    ORDER BY m.seq
    LIMIT 1
) h
WHERE h.status <> 'sending';

-- name: OpenLanes :many
-- OpenLanes tells in which of the given chats anything is open. Who has settled a
-- message sees in it what was accepted before that was committed.
SELECT c.chat_id::bigint AS chat_id
FROM (SELECT unnest(@chat_ids::bigint[]) AS chat_id) c
CROSS JOIN LATERAL (SELECT m.id FROM messages m WHERE m.chat_id = c.chat_id AND m.settled_at IS NULL ORDER BY m.seq LIMIT 1) m;

-- name: ClaimedGatewayIDs :many
-- ClaimedGatewayIDs tells which of the gateway's ids belong to messages that we
-- sent. A row that was made from the gateway's own report claims nothing.
SELECT DISTINCT t.gateway_message_id::text
FROM (SELECT unnest(@gateway_message_ids::text[]) AS gateway_message_id) t
CROSS JOIN LATERAL (
    SELECT m.id FROM messages m
    WHERE m.instance_id + 0 = @instance_id::bigint AND m.gateway_message_id = t.gateway_message_id AND m.attempt > 0
    LIMIT 1
) k;

-- name: AdoptReported :one
-- AdoptReported gives a message in doubt the id under which its gateway reports
-- having sent it: the oldest one of the chat with that text, tried shortly
-- before the report's time. No row: there is none, or the id is taken.
UPDATE messages m
SET status = 'accepted', gateway_message_id = @gateway_message_id::text, accepted_at = now(), settled_at = now(),
    lease_until = NULL, error_code = NULL, error_text = NULL,
    history = m.history || jsonb_build_object('status', 'accepted', 'at', now())
WHERE m.id = (
    SELECT d.id FROM messages d
    JOIN attempts a ON a.message_id = d.id AND a.attempt = d.attempt
    WHERE d.settled_at IS NULL AND d.seq > 0 AND d.instance_id = @instance_id AND d.status = 'unknown'
      AND d.text = @text::text
      AND (SELECT c.address FROM addresses c WHERE c.chat_id = d.chat_id AND c.address = ANY(@addresses::text[]) LIMIT 1) IS NOT NULL
      AND a.started_at - interval '5 seconds' <= @reported_at::timestamptz
    ORDER BY d.seq
    LIMIT 1
    FOR NO KEY UPDATE OF d
) AND m.status = 'unknown' AND NOT EXISTS (
    SELECT 1 FROM messages x WHERE x.instance_id + 0 = @instance_id AND x.gateway_message_id = @gateway_message_id::text
)
RETURNING m.id;

-- name: Witness :one
-- Witness finds the latest message of an instance, accepted by us between two
-- times, that its gateway took.
SELECT m.gateway_message_id::text AS gateway_message_id, m.accepted_at::timestamptz AS accepted_at
FROM messages m
WHERE m.instance_id = @instance_id AND m.direction = 'outbound' AND m.attempt > 0
  AND m.gateway_message_id IS NOT NULL AND m.accepted_at IS NOT NULL
  AND m.created_at >= @after_at::timestamptz AND m.created_at <= @before_at::timestamptz
ORDER BY m.created_at DESC, m.seq DESC
LIMIT 1;

-- name: BumpChats :exec
-- BumpChats brings the chats of messages up to date that a caller stored in a
-- transaction of its own, which must not hold their rows.
WITH newest AS (
    SELECT q.chat_id, max(q.created_at) AS at
    FROM (SELECT unnest(@ids::uuid[]) AS id) a
    CROSS JOIN LATERAL (SELECT m.chat_id, m.created_at FROM messages m WHERE m.id = a.id LIMIT 1) q
    GROUP BY q.chat_id
), free AS (
    SELECT k.id, n.at
    FROM newest n
    CROSS JOIN LATERAL (
        SELECT o.id FROM chats o WHERE o.id = n.chat_id AND o.last_message_at < n.at
        LIMIT 1
        FOR NO KEY UPDATE SKIP LOCKED
    ) k
)
UPDATE chats c
SET last_message_at = GREATEST(c.last_message_at, f.at), unread = 0
FROM free f
WHERE c.id = f.id;

-- name: UploadOf :one
-- UploadOf reads the file that came along with a message.
SELECT data FROM uploads WHERE message_id = @message_id;
