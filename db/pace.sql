-- name: PacedInstances :many
-- PacedInstances lists the instances whose slots are handed out one by one.
SELECT name FROM instances WHERE paced AND deleted_at IS NULL;

-- name: LockPace :one
-- LockPace reads how fast an instance may send and where that stands, and keeps
-- every other worker from handing out its slots until the transaction ends.
SELECT i.id, i.paced, i.failures, i.paused_at, i.blocked_until,
       i.rate_per_minute, i.burst, i.chat_rate_per_minute, i.chat_burst, i.gap_min_ms, i.gap_max_ms,
       i.daily_cap, i.warm_up_start, i.warm_up_days, i.warm_up_first,
       i.tat, i.gap_until, i.sent_on, i.sent_count, i.slowed_until, i.slot_at, i.pulled_until,
       clock_timestamp()::timestamptz AS now
FROM instances i
WHERE i.name = @instance AND i.deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: ClaimNext :many
-- ClaimNext leases heads of an instance's chats, whichever there are: at most
-- max_rows, drawn among the priorities that wait by their weights, and within
-- one the oldest first. So what is urgent goes first mostly, and nothing waits
-- for ever. Its rows are those of ClaimHeads. Only heads are candidates, so that
-- a row which is locked may be skipped: the second message of a chat is none.
--
-- The sums of exponential draws are the arrivals of three Poisson processes
-- whose rates are the weights: the next arrival is of each with the probability
-- of its weight, however many of each wait.
WITH waiting AS (
    SELECT h.id, h.created_at, h.seq, h.chat_id, p.priority, p.weight
    FROM (SELECT unnest(ARRAY['critical', 'default', 'bulk']::message_priority[]) AS priority, unnest(ARRAY[6, 3, 1]) AS weight) p
    CROSS JOIN LATERAL (
        SELECT m.id, m.created_at, m.seq, m.chat_id
        FROM messages m
        WHERE m.instance_id = @instance_id AND m.priority = p.priority AND m.settled_at IS NULL AND m.seq > 0
          AND (m.status = 'queued' AND m.next_attempt_at <= now() + @ahead::interval OR m.status = 'scheduled' AND m.next_attempt_at <= now())
          AND (m.expires_at IS NULL OR m.expires_at > now())
          AND COALESCE((SELECT c.slot_at FROM chats c WHERE c.id = m.chat_id), '-infinity') <= now() + @ahead::interval
          AND (SELECT e.id FROM messages e
               WHERE e.chat_id = m.chat_id AND e.settled_at IS NULL
                 AND (e.status = 'sending'
                      OR e.seq < m.seq AND (e.status = 'queued' OR e.status = 'scheduled' AND e.next_attempt_at <= now()
                                            OR e.status = 'unknown' AND e.next_attempt_at IS NOT NULL))
               ORDER BY e.seq LIMIT 1) IS NULL
        ORDER BY m.created_at, m.seq
        LIMIT @max_rows
    ) h
), drawn AS (
    SELECT d.id, d.chat_id
    FROM (SELECT w.id, w.chat_id, sum(-ln(1 - random()) / w.weight) OVER (PARTITION BY w.priority ORDER BY w.created_at, w.seq) AS arrival FROM waiting w) d
    ORDER BY d.arrival
    LIMIT @max_rows
), locked AS (
    SELECT k.id, k.attempt
    FROM drawn d
    CROSS JOIN LATERAL (
        SELECT m.id, m.attempt FROM messages m
        WHERE m.id = d.id AND m.status IN ('queued', 'scheduled') AND m.chat_id = d.chat_id
        LIMIT 1
        FOR NO KEY UPDATE OF m SKIP LOCKED
    ) k
)
UPDATE messages m
SET status = 'sending',
    attempt = m.attempt + 1,
    lease_until = now() + @lease::interval,
    history = m.history || jsonb_build_object('status', 'sending', 'at', clock_timestamp())
FROM locked k
LEFT JOIN attempts t ON t.message_id = k.id AND t.attempt = k.attempt, instances i, chats c
WHERE m.id = k.id AND i.id = m.instance_id AND c.id = m.chat_id
RETURNING m.id AS asked_id, m.id, m.status, m.attempt, m.max_attempts, m.type, m.text, m.content, m.priority, m.expires_at,
          m.instance_id, m.chat_id, i.name AS instance, i.gateway, i.base_url, i.credential, i.phone_number_id, i.in_doubt, i.failures, i.paced, i.daily_cap,
          c.jid AS chat,
          (SELECT q.gateway_message_id FROM messages q WHERE q.id = m.reply_to) AS quoted_id,
          COALESCE((SELECT q.direction = 'outbound' FROM messages q WHERE q.id = m.reply_to), false)::boolean AS quotes_us,
          COALESCE(t.started_at, now())::timestamptz AS started_at,
          COALESCE(t.started_at + t.duration_ms * interval '1 millisecond', now())::timestamptz AS lost_at,
          COALESCE(t.code, '')::text AS doubt_code;

-- name: TakeChatSlots :many
-- TakeChatSlots uses up a slot of each chat, for a message that goes at its time
-- or when the chat's slot comes, and answers when that is. The caller holds the
-- instance's pace.
UPDATE chats c
SET tat = GREATEST(c.tat, t.at) + l.per_message,
    slot_at = GREATEST(c.tat, t.at) + l.per_message * (2 - l.burst)
FROM (SELECT unnest(@ids::bigint[]) AS id, unnest(@ats::timestamptz[]) AS at) t,
     (SELECT @per_message::interval AS per_message, @burst::integer AS burst) l
WHERE c.id = t.id
RETURNING c.id, GREATEST(t.at, c.slot_at - l.per_message)::timestamptz AS at;

-- name: NextChatSlot :one
-- NextChatSlot tells when the first of an instance's chats that must pause and
-- have something waiting may go on.
SELECT c.slot_at::timestamptz AS slot_at
FROM chats c
WHERE c.instance_id = @instance_id AND c.slot_at > now()
  AND (SELECT m.id FROM messages m
       WHERE m.chat_id = c.id AND m.settled_at IS NULL AND m.status IN ('queued', 'scheduled') AND m.next_attempt_at <= c.slot_at
       ORDER BY m.seq LIMIT 1) IS NOT NULL
ORDER BY c.slot_at
LIMIT 1;

-- name: SavePace :exec
-- SavePace writes down where the limits of an instance stand.
UPDATE instances
SET tat = sqlc.narg('tat'), gap_until = sqlc.narg('gap_until'), sent_on = sqlc.narg('sent_on'), sent_count = @sent_count,
    slot_at = sqlc.narg('slot_at'), pulled_until = sqlc.narg('pulled_until')
WHERE id = @id;

-- name: LeavePull :exec
-- LeavePull leaves what waits of an instance to the relay.
UPDATE instances SET pulled_until = NULL WHERE name = @instance AND pulled_until IS NOT NULL;

-- name: ReturnSlot :exec
-- ReturnSlot gives back what was not sent to the day's cap.
UPDATE instances SET sent_count = sent_count - 1, slot_at = CASE WHEN failures = 0 AND sent_count >= daily_cap THEN NULL ELSE slot_at END
WHERE id = @id AND sent_count > 0 AND sent_on = (now() AT TIME ZONE 'UTC')::date;

-- name: AskToPull :exec
-- AskToPull asks every worker to help with what waits of an instance.
SELECT pg_notify('msgorch_pull', @instance::text);

-- name: LookAfter :exec
-- LookAfter has every worker look at an instance, when the surrounding
-- transaction commits: what held its messages up may be over.
SELECT pg_notify('msgorch_relay', ''), pg_notify('msgorch_pull', @instance::text);

-- name: DuePaced :many
-- DuePaced finds, for each instance whose slots are handed out one by one and
-- whose next one has come, a message that waits and that nobody looks after.
SELECT h.id, h.seq, h.status, h.next_attempt_at::timestamptz AS next_attempt_at, h.attempt, h.task_batch, h.priority,
       h.idempotency_key, h.send_at, i.name AS instance, c.jid AS chat, h.text
FROM instances i
CROSS JOIN LATERAL (
    SELECT m.* FROM messages m
    WHERE m.instance_id = i.id AND m.settled_at IS NULL AND m.seq > 0 AND m.status IN ('queued', 'scheduled') AND m.next_attempt_at <= now()
    ORDER BY m.priority, m.created_at, m.seq
    LIMIT 1
) h
JOIN chats c ON c.id = h.chat_id
WHERE i.paced AND i.deleted_at IS NULL AND i.paused_at IS NULL
  AND (i.blocked_until IS NULL OR i.blocked_until <= now())
  AND (i.slot_at IS NULL OR i.slot_at <= now())
  AND (i.pulled_until IS NULL OR i.pulled_until <= now())
LIMIT @max_rows;

-- name: DueProbes :many
-- DueProbes takes the instances that a refusal paused and whose gateway is to be
-- asked again now: each once in a while.
UPDATE instances SET probe_at = now() + @every::interval
WHERE paused_at IS NOT NULL AND probe_at <= now() AND deleted_at IS NULL AND pause_reason <> 'operator'
RETURNING name;

-- name: EndPause :execrows
-- EndPause resumes an instance that a refusal paused. Zero rows mean that it is
-- not paused, or by a person.
UPDATE instances
SET paused_at = NULL, pause_reason = NULL, probe_at = NULL, failures = 0, blocked_until = NULL, block_reason = NULL, opened_at = now(), updated_at = now()
WHERE id = @id AND paused_at IS NOT NULL AND pause_reason <> 'operator';
