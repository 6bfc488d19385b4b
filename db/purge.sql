-- name: PurgeMessages :many
-- PurgeMessages deletes settled messages, with their attempts: the oldest of
-- those whose ids lie between two, which are in the order of their making. One
-- that was settled after the given time stays, and so does one that another
-- transaction holds; the next run finds them. It answers with the ids that it
-- looked at, in order.
WITH old AS (
    SELECT m.id FROM messages m
    WHERE m.id > @after_id AND m.id < @before_id::uuid AND m.settled_at < @before::timestamptz
    ORDER BY m.id
    LIMIT @max_rows
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM messages m WHERE m.id = ANY(ARRAY(SELECT o.id FROM old o))
)
SELECT id FROM old;

-- name: PurgeEvents :many
-- PurgeEvents is PurgeMessages for gateway events in one of the given states.
WITH old AS (
    SELECT e.id FROM gateway_events e
    WHERE e.id > @after_id AND e.id < @before_id::uuid AND e.state::text = ANY(@states::text[])
    ORDER BY e.id
    LIMIT @max_rows
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gateway_events e WHERE e.id = ANY(ARRAY(SELECT o.id FROM old o))
)
SELECT id FROM old;

-- name: PurgeEvidence :execrows
-- PurgeEvidence forgets evidence whose message never came.
DELETE FROM early_evidence e
USING (
    SELECT o.instance_id, o.gateway_message_id, o.status FROM early_evidence o
    WHERE o.received_at < @before::timestamptz
    ORDER BY o.received_at
    LIMIT @max_rows
) old
WHERE e.instance_id = old.instance_id AND e.gateway_message_id = old.gateway_message_id AND e.status = old.status;

-- name: PurgeUploads :many
-- PurgeUploads deletes files whose message was settled before the given time: it
-- will hardly be sent again.
WITH old AS (
    SELECT u.message_id FROM uploads u
    CROSS JOIN LATERAL (SELECT m.settled_at FROM messages m WHERE m.id = u.message_id LIMIT 1) m
    WHERE u.message_id > @after_id AND u.message_id < @before_id::uuid AND m.settled_at < @before::timestamptz
    ORDER BY u.message_id
    LIMIT @max_rows
    FOR UPDATE OF u SKIP LOCKED
), gone AS (
    DELETE FROM uploads u WHERE u.message_id = ANY(ARRAY(SELECT o.message_id FROM old o))
)
SELECT message_id FROM old;
