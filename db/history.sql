-- name: MessageDetail :one
-- MessageDetail reads a message and its attempts at one moment: apart, one could
-- be newer than the other. The attempts are rows as JSON, and so is the receipt of
-- an inbound message, null if nobody asked for one.
SELECT sqlc.embed(v), m.history,
       COALESCE((SELECT jsonb_agg(to_jsonb(a) ORDER BY a.attempt) FROM attempts a WHERE a.message_id = m.id), '[]')::jsonb AS attempts,
       COALESCE((SELECT to_jsonb(r) FROM read_receipts r WHERE r.message_id = m.id), 'null')::jsonb AS read_receipt
FROM messages m
JOIN shown_messages v ON v.id = m.id
WHERE m.id = @id;

-- name: MessagesByID :many
SELECT * FROM shown_messages WHERE id = ANY(@ids::uuid[]);

-- name: ListMessages :many
-- ListMessages looks at the newest look_at messages of instances and directions
-- before a position (one index walk for each pair, merged) and answers with those of
-- the given statuses, or with all when none are given. The last one that it looked at
-- is always among them, unless the page is full without it or that was the end:
-- is_horizon tells it.
SELECT sqlc.embed(v), (cardinality(@statuses::text[]) = 0 OR v.status::text = ANY(@statuses::text[]))::boolean AS matches, (page.n = @look_at::integer)::boolean AS is_horizon
FROM (
    SELECT newest.id, row_number() OVER (ORDER BY newest.created_at DESC, newest.seq DESC) AS n
    FROM (
        SELECT p.*
        FROM unnest(@instance_ids::bigint[]) AS wanted(id)
        CROSS JOIN unnest(@directions::text[]) AS way(direction)
        CROSS JOIN LATERAL (
            SELECT m.id, m.created_at, m.seq FROM messages m
            WHERE m.instance_id = wanted.id AND m.direction = way.direction::message_direction
              AND (m.created_at, m.seq) < (@before_at::timestamptz, @before_seq::bigint)
              AND m.created_at >= @since::timestamptz
            ORDER BY m.created_at DESC, m.seq DESC
            LIMIT @look_at
        ) p
        ORDER BY p.created_at DESC, p.seq DESC
        LIMIT @look_at
    ) newest
) page
JOIN shown_messages v ON v.id = page.id
WHERE cardinality(@statuses::text[]) = 0 OR v.status::text = ANY(@statuses::text[]) OR page.n = @look_at::integer
ORDER BY page.n
LIMIT @max_rows;

-- name: ListOpen :many
-- ListOpen is ListMessages for statuses of unsettled messages (scheduled, queued,
-- sending, unknown), which have an index of their own. That alone tells which are the
-- newest of all instances, and only those are read.
SELECT sqlc.embed(v), (found.status::text = ANY(@statuses::text[]))::boolean AS matches, (page.n = @look_at::integer)::boolean AS is_horizon
FROM (
    SELECT newest.*, row_number() OVER (ORDER BY newest.created_at DESC, newest.seq DESC) AS n
    FROM (
        SELECT p.*
        FROM unnest(@instance_ids::bigint[]) AS wanted(id)
        CROSS JOIN unnest(enum_range(NULL::message_priority)) AS way(priority)
        CROSS JOIN LATERAL (
            SELECT m.instance_id, m.priority, m.created_at, m.seq FROM messages m
            WHERE m.instance_id = wanted.id AND m.priority = way.priority AND m.settled_at IS NULL AND m.seq > 0
              AND (m.created_at, m.seq) < (@before_at::timestamptz, @before_seq::bigint)
              AND m.created_at >= @since::timestamptz
            ORDER BY m.created_at DESC, m.seq DESC
            LIMIT @look_at
        ) p
        ORDER BY p.created_at DESC, p.seq DESC
        LIMIT @look_at
    ) newest
) page
CROSS JOIN LATERAL (
    SELECT m.id, m.status FROM messages m
    WHERE m.instance_id = page.instance_id AND m.priority = page.priority AND m.settled_at IS NULL AND m.seq > 0
      AND m.created_at = page.created_at AND m.seq = page.seq
    LIMIT 1
) found
JOIN shown_messages v ON v.id = found.id
WHERE found.status::text = ANY(@statuses::text[]) OR page.n = @look_at::integer
ORDER BY page.n
LIMIT @max_rows;

-- name: ListStopped :many
-- ListStopped is ListMessages for failed, canceled and expired messages, which have an
-- index of their own: of one status there may be few among many of another.
SELECT sqlc.embed(v), (found.status::text = ANY(@statuses::text[]))::boolean AS matches, (page.n = @look_at::integer)::boolean AS is_horizon
FROM (
    SELECT newest.*, row_number() OVER (ORDER BY newest.created_at DESC, newest.seq DESC) AS n
    FROM (
        SELECT p.*
        FROM unnest(@instance_ids::bigint[]) AS wanted(id)
        CROSS JOIN LATERAL (
            SELECT m.instance_id, m.created_at, m.seq FROM messages m
            WHERE m.instance_id = wanted.id AND m.stopped_at IS NOT NULL
              AND (m.created_at, m.seq) < (@before_at::timestamptz, @before_seq::bigint)
              AND m.created_at >= @since::timestamptz
            ORDER BY m.created_at DESC, m.seq DESC
            LIMIT @look_at
        ) p
        ORDER BY p.created_at DESC, p.seq DESC
        LIMIT @look_at
    ) newest
) page
CROSS JOIN LATERAL (
    SELECT m.id, m.status FROM messages m
    WHERE m.instance_id = page.instance_id AND m.stopped_at IS NOT NULL AND m.created_at = page.created_at AND m.seq = page.seq
    LIMIT 1
) found
JOIN shown_messages v ON v.id = found.id
WHERE found.status::text = ANY(@statuses::text[]) OR page.n = @look_at::integer
ORDER BY page.n
LIMIT @max_rows;

-- name: WalkMessages :many
-- WalkMessages is ListMessages for words, too: it reads the newest each_rows messages
-- of every instance and direction, as far as those of all reach.
WITH seen AS (
    SELECT p.*
    FROM unnest(@instance_ids::bigint[]) AS wanted(id)
    CROSS JOIN unnest(@directions::text[]) AS way(direction)
    CROSS JOIN LATERAL (
        SELECT m.id, m.created_at, m.seq, row_number() OVER (ORDER BY m.created_at DESC, m.seq DESC) AS n,
               COALESCE((cardinality(@statuses::text[]) = 0 OR m.status::text = ANY(@statuses::text[]))
                   AND to_tsvector('simple', m.text) @@ (SELECT to_tsquery('simple', @query::text)), false) AS matches
        FROM messages m
        WHERE m.instance_id = wanted.id AND m.direction = way.direction::message_direction
          AND (m.created_at, m.seq) < (@before_at::timestamptz, @before_seq::bigint)
          AND m.created_at >= @since::timestamptz
        ORDER BY m.created_at DESC, m.seq DESC
        LIMIT @each_rows
    ) p
), horizon AS (
    SELECT s.created_at, s.seq FROM seen s WHERE s.n = @each_rows::bigint ORDER BY s.created_at DESC, s.seq DESC LIMIT 1
)
SELECT sqlc.embed(v), page.matches::boolean AS matches, page.is_horizon::boolean AS is_horizon
FROM (
    SELECT s.id, s.matches, COALESCE(s.seq = h.seq, false) AS is_horizon
    FROM seen s LEFT JOIN horizon h ON true
    WHERE (h.seq IS NULL OR (s.created_at, s.seq) >= (h.created_at, h.seq)) AND (s.matches OR s.seq = h.seq)
    ORDER BY s.created_at DESC, s.seq DESC
    LIMIT @max_rows
) page
JOIN shown_messages v ON v.id = page.id
ORDER BY v.created_at DESC, v.seq DESC;

-- name: ListOverdueMessages :many
-- ListOverdueMessages is ListMessages for messages of which their gateway has
-- said nothing since it took them, which have an index of their own.
SELECT v.*
FROM (
    SELECT page.id
    FROM unnest(@instance_ids::bigint[]) AS wanted(id)
    CROSS JOIN LATERAL (
        SELECT p.id, p.created_at, p.seq FROM messages p
        WHERE p.instance_id = wanted.id AND p.ack_overdue_at IS NOT NULL
          AND (p.created_at, p.seq) < (@before_at::timestamptz, @before_seq::bigint)
          AND p.created_at >= @since::timestamptz
        ORDER BY p.created_at DESC, p.seq DESC
        LIMIT @max_rows
    ) page
    ORDER BY page.created_at DESC, page.seq DESC
    LIMIT @max_rows
) page
JOIN shown_messages v ON v.id = page.id
ORDER BY v.created_at DESC, v.seq DESC;

-- name: ListChatMessages :many
-- ListChatMessages is ListMessages for given chats.
SELECT v.*
FROM (
    SELECT page.id
    FROM unnest(@chat_ids::bigint[]) AS wanted(id)
    CROSS JOIN LATERAL (
        SELECT p.id, p.created_at, p.seq FROM messages p
        WHERE p.chat_id = wanted.id
          AND (p.created_at, p.seq) < (@before_at::timestamptz, @before_seq::bigint)
          AND p.created_at >= @since::timestamptz
        ORDER BY p.created_at DESC, p.seq DESC
        LIMIT @max_rows
    ) page
    ORDER BY page.created_at DESC, page.seq DESC
    LIMIT @max_rows
) page
JOIN shown_messages v ON v.id = page.id
ORDER BY v.created_at DESC, v.seq DESC;

-- name: WalkChats :many
-- WalkChats is WalkMessages for given chats.
WITH seen AS (
    SELECT p.*
    FROM unnest(@chat_ids::bigint[]) AS wanted(id)
    CROSS JOIN LATERAL (
        SELECT m.id, m.created_at, m.seq, row_number() OVER (ORDER BY m.created_at DESC, m.seq DESC) AS n,
               COALESCE(m.direction::text = ANY(@directions::text[])
                   AND (cardinality(@statuses::text[]) = 0 OR m.status::text = ANY(@statuses::text[]))
                   AND (@query::text = '' OR to_tsvector('simple', m.text) @@ (SELECT to_tsquery('simple', @query::text))), false) AS matches
        FROM messages m
        WHERE m.chat_id = wanted.id
          AND (m.created_at, m.seq) < (@before_at::timestamptz, @before_seq::bigint)
          AND m.created_at >= @since::timestamptz
        ORDER BY m.created_at DESC, m.seq DESC
        LIMIT @each_rows
    ) p
), horizon AS (
    SELECT s.created_at, s.seq FROM seen s WHERE s.n = @each_rows::bigint ORDER BY s.created_at DESC, s.seq DESC LIMIT 1
)
SELECT sqlc.embed(v), page.matches::boolean AS matches, page.is_horizon::boolean AS is_horizon
FROM (
    SELECT s.id, s.matches, COALESCE(s.seq = h.seq, false) AS is_horizon
    FROM seen s LEFT JOIN horizon h ON true
    WHERE (h.seq IS NULL OR (s.created_at, s.seq) >= (h.created_at, h.seq)) AND (s.matches OR s.seq = h.seq)
    ORDER BY s.created_at DESC, s.seq DESC
    LIMIT @max_rows
) page
JOIN shown_messages v ON v.id = page.id
ORDER BY v.created_at DESC, v.seq DESC;

-- name: SearchMessages :many
-- SearchMessages is ListMessages for messages whose text matches a tsquery that
-- few match: it reads all that do. No chats mean any. The index has the words of
-- settled messages; the others are few, and looked through. How many match is not
-- known when it is planned: hence "+ 0", or it might read every message of an
-- instance. The query is parsed once and not for each text. Of its words the index is
-- asked for the indexed ones alone: those of every second message take it long to
-- collect. IS TRUE keeps the others from it.
SELECT v.*
FROM (
    SELECT f.id
    FROM (
        SELECT s.id, s.created_at, s.seq FROM messages s
        WHERE s.settled_at IS NOT NULL AND s.text IS NOT NULL AND to_tsvector('simple', s.text) @@ (SELECT to_tsquery('simple', @indexed::text))
          AND (@indexed::text = @query::text OR (to_tsvector('simple', s.text) @@ (SELECT to_tsquery('simple', @query::text))) IS TRUE)
          AND s.instance_id + 0 = ANY(@instance_ids::bigint[]) AND s.direction::text = ANY(@directions::text[])
          AND (cardinality(@chat_ids::bigint[]) = 0 OR s.chat_id = ANY(@chat_ids::bigint[]))
          AND (cardinality(@statuses::text[]) = 0 OR s.status::text = ANY(@statuses::text[]))
        UNION ALL
        SELECT o.id, o.created_at, o.seq FROM messages o
        WHERE o.settled_at IS NULL AND o.created_at > '-infinity' AND o.instance_id = ANY(@instance_ids::bigint[])
          AND (cardinality(@chat_ids::bigint[]) = 0 OR o.chat_id = ANY(@chat_ids::bigint[]))
          AND o.direction::text = ANY(@directions::text[]) AND to_tsvector('simple', o.text) @@ (SELECT to_tsquery('simple', @query::text))
          AND (cardinality(@statuses::text[]) = 0 OR o.status::text = ANY(@statuses::text[]))
    ) f
    WHERE (f.created_at, f.seq) < (@before_at::timestamptz, @before_seq::bigint) AND f.created_at >= @since::timestamptz
    ORDER BY f.created_at DESC, f.seq DESC
    LIMIT @max_rows
) page
JOIN shown_messages v ON v.id = page.id
ORDER BY v.created_at DESC, v.seq DESC;

-- name: CountMatches :one
-- CountMatches tells how many settled messages match a tsquery, and no more than
-- max_rows. OFFSET 0 has it planned as if it wanted all: for a few, walking some
-- other index might look as good.
SELECT count(*)::integer FROM (
    SELECT FROM (
        SELECT FROM messages s
        WHERE s.settled_at IS NOT NULL AND s.text IS NOT NULL AND to_tsvector('simple', s.text) @@ (SELECT to_tsquery('simple', @query::text))
        OFFSET 0
    ) a
    LIMIT @max_rows
) m;

-- name: UselessWords :many
-- UselessWords tells by which of the given words, in lower case and as terms of a
-- tsquery, the index need not be asked: those that are known to begin words of more
-- than a part of all texts, and those that are no words. PostgreSQL counts the
-- commonest words with each ANALYZE.
SELECT w.word::text AS word, COALESCE(k.part > @part::real, false)::boolean AS is_common
FROM (SELECT unnest(@words::text[]) AS word, unnest(@terms::text[]) AS term) w
CROSS JOIN LATERAL (
    SELECT sum(s.most_common_elem_freqs[u.n]) AS part
    FROM pg_catalog.pg_stats s CROSS JOIN LATERAL unnest(s.most_common_elems::text::text[]) WITH ORDINALITY u(word, n)
    WHERE s.schemaname = current_schema AND s.tablename = 'messages_text_idx' AND starts_with(u.word, w.word)
) k
WHERE k.part > @part::real OR numnode(to_tsquery('simple', w.term)) = 0;

-- name: ChatIDs :many
-- ChatIDs finds a conversation, by any of its addresses, in each of the given instances.
SELECT chat_id FROM addresses WHERE instance_id = ANY(@instance_ids::bigint[]) AND address = @address;

-- name: ListChats :many
-- ListChats lists the conversations of an instance that have a message, the
-- one that moved last first, before a position, each with its last message.
SELECT c.id, c.jid, COALESCE(c.name, p.name, '')::text AS name, c.unread, c.last_message_at::timestamptz AS last_message_at, l.id AS last_message_id,
       ARRAY(SELECT a.jid FROM addresses a WHERE a.chat_id = c.id AND a.jid <> c.jid ORDER BY a.learned_at, a.address)::text[] AS aliases
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
      AND (@query::text = '' OR to_tsvector('simple', m.text) @@ (SELECT to_tsquery('simple', @query::text)))
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
      AND (@query::text = '' OR to_tsvector('simple', m.text) @@ (SELECT to_tsquery('simple', @query::text)))
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
