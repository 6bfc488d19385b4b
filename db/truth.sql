-- name: Unacknowledged :many
-- Unacknowledged lists messages of ours that were settled between two times and
-- of which their gateway has said nothing since it took them, in the order of these
-- times. Each is listed until it is marked, or told of. Of what goes to groups
-- gateways say nothing, so that means nothing. Those that were settled within a minute
-- are found by when they were accepted, which is accepted_after then, and the others
-- by an index of their own.
SELECT m.id, m.settled_at::timestamptz AS settled_at, m.gateway_message_id::text AS gateway_message_id, i.id AS instance_id,
       i.name AS instance, i.gateway, i.base_url, i.credential, i.phone_number_id
FROM (
    SELECT f.id
    FROM (
        SELECT s.id, s.chat_id, s.settled_at, s.status, s.attempt, s.gateway_message_id, s.ack_overdue_at
        FROM instances w JOIN messages s ON s.instance_id = w.id
        WHERE s.direction = 'outbound' AND s.settled_at - s.created_at <= interval '1 minute'
          AND s.created_at > @accepted_after::timestamptz AND s.created_at <= @until::timestamptz
        UNION ALL
        SELECT s.id, s.chat_id, s.settled_at, s.status, s.attempt, s.gateway_message_id, s.ack_overdue_at
        FROM messages s
        WHERE s.direction = 'outbound' AND s.settled_at - s.created_at > interval '1 minute'
    ) f
    WHERE f.settled_at > @after::timestamptz AND f.settled_at <= @until::timestamptz
      AND f.status = 'accepted' AND f.attempt > 0 AND f.gateway_message_id IS NOT NULL AND f.ack_overdue_at IS NULL
      AND (SELECT c.jid FROM chats c WHERE c.id = f.chat_id) NOT LIKE '%@g.us'
    LIMIT @max_rows
) found
JOIN messages m ON m.id = found.id
JOIN instances i ON i.id = m.instance_id
ORDER BY m.settled_at;

-- name: MarkOverdue :many
-- MarkOverdue marks those of the messages of which their gateway has still said
-- nothing. It answers with how many of each instance.
WITH marked AS (
    UPDATE messages m SET ack_overdue_at = now()
    FROM (
        SELECT k.id
        FROM (SELECT unnest(@ids::uuid[]) AS id ORDER BY 1) a
        CROSS JOIN LATERAL (
            SELECT x.id FROM messages x WHERE x.id = a.id AND x.status = 'accepted' AND x.ack_overdue_at IS NULL LIMIT 1 FOR NO KEY UPDATE OF x
        ) k
    ) l
    WHERE m.id = l.id AND m.status = 'accepted'
    RETURNING m.instance_id
)
SELECT i.name AS instance, count(*)::integer AS messages FROM marked k JOIN instances i ON i.id = k.instance_id GROUP BY i.name ORDER BY i.name;

-- name: AckWatch :one
-- AckWatch tells up to when settled messages were looked at. No row: never.
SELECT value::timestamptz AS at FROM settings WHERE name = 'ack_watch';

-- name: SaveAckWatch :exec
-- SaveAckWatch remembers up to when settled messages were looked at. It never
-- goes back.
INSERT INTO settings AS s (name, value) VALUES ('ack_watch', @at::text)
ON CONFLICT ON CONSTRAINT settings_pkey
DO UPDATE SET value = excluded.value, changed_at = now() WHERE s.value::timestamptz < excluded.value::timestamptz;

-- name: CountOverdue :many
-- CountOverdue counts the marked messages of instances, accepted by us since a
-- time. An instance without any is left out.
SELECT w.id::bigint AS instance_id, c.messages::integer AS messages
FROM unnest(@instance_ids::bigint[]) AS w(id)
CROSS JOIN LATERAL (
    SELECT count(*) AS messages FROM messages m
    WHERE m.instance_id = w.id AND m.ack_overdue_at IS NOT NULL AND m.created_at > @since::timestamptz
) c
WHERE c.messages > 0;

-- name: DueReconciles :many
-- DueReconciles takes the instances that are to be compared with their gateways
-- now: every so often, and once a session that had opened is older than the
-- grace in which webhooks may still be on their way. Each is taken once in a
-- while, so that one whose task is lost is asked for again.
UPDATE instances i SET reconcile_at = now() + @again::interval
WHERE i.id = ANY(ARRAY(
    SELECT d.id FROM instances d, (SELECT @every::interval AS every, @grace::interval AS grace) p
    WHERE d.gateway IN ('evolution', 'sandbox') AND d.deleted_at IS NULL
      AND (d.paused_at IS NULL OR d.pause_reason = 'operator')
      AND (d.reconcile_at IS NULL OR d.reconcile_at <= now())
      AND (COALESCE(d.reconciled_to, d.created_at) + p.every + p.grace <= now()
           OR d.opened_at + p.grace <= now() AND d.opened_at > COALESCE(d.reconciled_to, '-infinity'))
    ORDER BY d.reconciled_to NULLS FIRST
    LIMIT @max_rows
    FOR NO KEY UPDATE OF d SKIP LOCKED))
RETURNING i.name;

-- name: ClaimReconcile :one
-- ClaimReconcile begins a run, unless one has the instance. The run's number is
-- the fencing value of its lease.
UPDATE instances SET reconcile_run = reconcile_run + 1, reconcile_until = now() + @lease::interval
WHERE name = @name AND deleted_at IS NULL AND (reconcile_until IS NULL OR reconcile_until <= now())
RETURNING *;

-- name: RenewReconcile :execrows
-- RenewReconcile keeps an instance for its run. Zero rows: another run has it.
UPDATE instances SET reconcile_until = now() + @lease::interval
WHERE id = @id AND reconcile_run = @run AND deleted_at IS NULL;

-- name: SaveReconciled :execrows
-- SaveReconciled notes how far a run has come, which never goes back. Zero rows:
-- another run has it.
UPDATE instances SET reconciled_to = GREATEST(reconciled_to, @reconciled_to::timestamptz)
WHERE id = @id AND reconcile_run = @run AND deleted_at IS NULL;

-- name: EndReconcile :exec
-- EndReconcile ends a run. The instance is not compared again before a time;
-- null: when it is due.
UPDATE instances SET reconcile_until = NULL, reconcile_at = sqlc.narg('reconcile_at')
WHERE id = @id AND reconcile_run = @run;

-- name: KnownWays :many
-- KnownWays tells what is known of the messages among the gateway's ids that
-- have a row.
SELECT t.gateway_message_id::text AS gateway_message_id, k.direction, k.status, k.accepted_at, k.sent_at, k.delivered_at, k.read_at, k.played_at, k.stopped_at
FROM (SELECT DISTINCT unnest(@gateway_message_ids::text[]) AS gateway_message_id) t
CROSS JOIN LATERAL (
    SELECT m.* FROM messages m WHERE m.instance_id + 0 = @instance_id::bigint AND m.gateway_message_id = t.gateway_message_id LIMIT 1
) k;

-- name: AddGaps :exec
-- AddGaps counts messages that no webhook had told of.
UPDATE instances i SET gaps = i.gaps + t.n, last_gap_at = now()
FROM (SELECT unnest(@instance_ids::bigint[]) AS id, unnest(@counts::bigint[]) AS n) t
WHERE i.id = t.id;
