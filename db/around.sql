-- name: TellGroups :exec
-- TellGroups notes what gateways say of groups. Empty means not told.
INSERT INTO groups (chat_id, description, owner, told_at)
SELECT DISTINCT ON (f.chat_id) f.chat_id, NULLIF(t.description, ''), NULLIF(t.owner, ''), t.told_at
FROM (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@addresses::text[]) AS address,
           unnest(@descriptions::text[]) AS description, unnest(@owners::text[]) AS owner, unnest(@told_ats::timestamptz[]) AS told_at
) t
CROSS JOIN LATERAL (SELECT a.chat_id FROM addresses a WHERE a.address = t.address AND a.instance_id = t.instance_id LIMIT 1) f
ORDER BY f.chat_id, t.told_at DESC
ON CONFLICT ON CONSTRAINT groups_pkey DO UPDATE
SET description = COALESCE(excluded.description, groups.description), owner = COALESCE(excluded.owner, groups.owner), told_at = excluded.told_at
WHERE groups.told_at <= excluded.told_at;

-- name: TellMembers :exec
-- TellMembers notes who is in groups, and who is no more.
INSERT INTO group_members (chat_id, address, jid, present, admin, told_at)
SELECT DISTINCT ON (f.chat_id, t.address) f.chat_id, t.address, t.jid, t.present, t.admin, t.told_at
FROM (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@groups::text[]) AS grp, unnest(@addresses::text[]) AS address,
           unnest(@jids::text[]) AS jid, unnest(@presents::boolean[]) AS present, unnest(@admins::boolean[]) AS admin,
           unnest(@told_ats::timestamptz[]) AS told_at
) t
CROSS JOIN LATERAL (SELECT a.chat_id FROM addresses a WHERE a.address = t.grp AND a.instance_id = t.instance_id LIMIT 1) f
ORDER BY f.chat_id, t.address, t.told_at DESC
ON CONFLICT ON CONSTRAINT group_members_pkey DO UPDATE
SET jid = excluded.jid, present = excluded.present, admin = excluded.admin, told_at = excluded.told_at
WHERE group_members.told_at <= excluded.told_at;

-- name: OnlyMembers :exec
-- OnlyMembers notes that a group has no other members than those that TellMembers
-- has just noted.
UPDATE group_members g SET present = false, told_at = @told_at::timestamptz
FROM addresses a
WHERE a.address = @group_address AND a.instance_id = @instance_id AND g.chat_id = a.chat_id
  AND g.present AND g.told_at < @told_at::timestamptz AND g.address <> ALL(@addresses::text[]);

-- name: TellLabels :exec
INSERT INTO labels (instance_id, label, name, color, deleted, told_at)
SELECT DISTINCT ON (t.instance_id, t.label) t.*
FROM (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@labels::text[]) AS label, unnest(@names::text[]) AS name,
           unnest(@colors::integer[]) AS color, unnest(@deleteds::boolean[]) AS deleted, unnest(@told_ats::timestamptz[]) AS told_at
) t
ORDER BY t.instance_id, t.label, t.told_at DESC
ON CONFLICT ON CONSTRAINT labels_pkey DO UPDATE
SET name = COALESCE(NULLIF(excluded.name, ''), labels.name), color = excluded.color, deleted = excluded.deleted, told_at = excluded.told_at
WHERE labels.told_at <= excluded.told_at;

-- name: TellLabelChanges :exec
INSERT INTO chat_labels (chat_id, label, gateway_message_id, present, told_at)
SELECT DISTINCT ON (f.chat_id, t.label, t.gateway_message_id) f.chat_id, t.label, t.gateway_message_id, t.present, t.told_at
FROM (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@addresses::text[]) AS address, unnest(@labels::text[]) AS label,
           unnest(@gateway_message_ids::text[]) AS gateway_message_id, unnest(@presents::boolean[]) AS present, unnest(@told_ats::timestamptz[]) AS told_at
) t
CROSS JOIN LATERAL (SELECT a.chat_id FROM addresses a WHERE a.address = t.address AND a.instance_id = t.instance_id LIMIT 1) f
ORDER BY f.chat_id, t.label, t.gateway_message_id, t.told_at DESC
ON CONFLICT ON CONSTRAINT chat_labels_pkey DO UPDATE
SET present = excluded.present, told_at = excluded.told_at
WHERE chat_labels.told_at <= excluded.told_at;

-- name: TellPresence :exec
-- TellPresence notes what people are doing, in chats that there are. To hear the
-- same again within ten seconds changes nothing.
INSERT INTO presence (chat_id, address, jid, state, last_seen_at, told_at)
SELECT DISTINCT ON (f.chat_id, t.address) f.chat_id, t.address, t.jid, t.state, NULLIF(t.last_seen_at, '0001-01-01 00:00:00+00'), t.told_at
FROM (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@chats::text[]) AS chat, unnest(@addresses::text[]) AS address,
           unnest(@jids::text[]) AS jid, unnest(@states::text[]) AS state, unnest(@last_seen_ats::timestamptz[]) AS last_seen_at,
           unnest(@told_ats::timestamptz[]) AS told_at
) t
CROSS JOIN LATERAL (SELECT a.chat_id FROM addresses a WHERE a.address = t.chat AND a.instance_id = t.instance_id LIMIT 1) f
ORDER BY f.chat_id, t.address, t.told_at DESC
ON CONFLICT ON CONSTRAINT presence_pkey DO UPDATE
SET jid = excluded.jid, state = excluded.state, last_seen_at = COALESCE(excluded.last_seen_at, presence.last_seen_at), told_at = excluded.told_at
WHERE presence.told_at < excluded.told_at - interval '10 seconds'
   OR presence.told_at < excluded.told_at
      AND (presence.state <> excluded.state OR COALESCE(excluded.last_seen_at, '-infinity') > COALESCE(presence.last_seen_at, '-infinity'));

-- name: TellCalls :exec
-- TellCalls notes how far calls have come.
INSERT INTO calls (instance_id, call, chat_id, video, status, rank, started_at, changed_at)
SELECT DISTINCT ON (t.call, t.instance_id) t.instance_id, t.call, f.chat_id, t.video, t.status, t.rank, t.told_at, t.told_at
FROM (
    SELECT unnest(@instance_ids::bigint[]) AS instance_id, unnest(@addresses::text[]) AS address, unnest(@calls::text[]) AS call,
           unnest(@videos::boolean[]) AS video, unnest(@statuses::text[]) AS status, unnest(@ranks::integer[]) AS rank,
           unnest(@told_ats::timestamptz[]) AS told_at
) t
CROSS JOIN LATERAL (SELECT a.chat_id FROM addresses a WHERE a.address = t.address AND a.instance_id = t.instance_id LIMIT 1) f
ORDER BY t.call, t.instance_id, t.rank DESC, t.told_at
ON CONFLICT ON CONSTRAINT calls_call_key DO UPDATE
SET status = CASE WHEN excluded.rank > calls.rank THEN excluded.status ELSE calls.status END,
    rank = GREATEST(calls.rank, excluded.rank), video = calls.video OR excluded.video,
    started_at = LEAST(calls.started_at, excluded.started_at), changed_at = GREATEST(calls.changed_at, excluded.changed_at);

-- name: ForgetBodies :exec
-- ForgetBodies empties events whose bodies must not be kept. Their hashes stay, so
-- that a repeat is known.
UPDATE gateway_events SET body = '' WHERE id = ANY(@ids::uuid[]);

-- name: ChatDetail :one
-- ChatDetail reads a conversation by any of its addresses, with all that is known
-- around it as JSON.
SELECT c.id, c.jid, COALESCE(c.name, p.name, '')::text AS name, c.unread, c.last_message_at,
       ARRAY(SELECT a.jid FROM addresses a WHERE a.chat_id = c.id AND a.jid <> c.jid ORDER BY a.learned_at, a.address)::text[] AS aliases,
       COALESCE((SELECT m.id FROM messages m WHERE m.chat_id = c.id ORDER BY m.created_at DESC, m.seq DESC LIMIT 1), '00000000-0000-0000-0000-000000000000')::uuid AS last_message_id,
       COALESCE((SELECT jsonb_agg(jsonb_build_object('id', l.label, 'name', l.name, 'color', l.color) ORDER BY l.label)
           FROM chat_labels k JOIN labels l ON l.instance_id = c.instance_id AND l.label = k.label AND NOT l.deleted
           WHERE k.chat_id = c.id AND k.gateway_message_id = '' AND k.present), '[]')::jsonb AS labels,
       COALESCE((SELECT jsonb_agg(jsonb_build_object('jid', s.jid, 'state', s.state, 'last_seen_at', s.last_seen_at, 'at', s.told_at) ORDER BY s.told_at DESC)
           FROM presence s WHERE s.chat_id = c.id), '[]')::jsonb AS presence,
       (SELECT jsonb_build_object('description', g.description, 'owner', g.owner, 'participants', COALESCE((
               SELECT jsonb_agg(jsonb_build_object('jid', b.jid, 'admin', b.admin, 'name', n.name) ORDER BY b.admin DESC, b.address)
               FROM group_members b LEFT JOIN contacts n ON n.instance_id = c.instance_id AND n.jid = b.jid
               WHERE b.chat_id = c.id AND b.present), '[]'))
           FROM groups g WHERE g.chat_id = c.id)::jsonb AS group_detail
FROM addresses a
JOIN chats c ON c.id = a.chat_id
LEFT JOIN contacts p ON p.instance_id = c.instance_id AND p.jid = c.jid
WHERE a.address = @address AND a.instance_id = @instance_id;

-- name: ListCalls :many
-- ListCalls lists the calls of an instance, the newest first, before a position.
SELECT l.id, l.call, c.jid AS chat, l.video, l.status, l.started_at, l.changed_at
FROM calls l JOIN chats c ON c.id = l.chat_id
WHERE l.instance_id = @instance_id AND (l.started_at, l.id) < (@before_at::timestamptz, @before_id::bigint)
ORDER BY l.started_at DESC, l.id DESC
LIMIT @max_rows;

-- name: ListLabels :many
SELECT label, name, color FROM labels WHERE instance_id = @instance_id AND NOT deleted ORDER BY label;

-- name: PurgePresence :execrows
-- PurgePresence forgets what people were doing.
DELETE FROM presence p
USING (SELECT o.chat_id, o.address FROM presence o WHERE o.told_at < @before::timestamptz ORDER BY o.told_at LIMIT @max_rows) old
WHERE p.chat_id = old.chat_id AND p.address = old.address;
