-- name: InstanceByName :one
SELECT * FROM instances WHERE name = @name AND deleted_at IS NULL;

-- name: InstancesByName :many
SELECT * FROM instances WHERE name = ANY(@names::text[]) AND deleted_at IS NULL;

-- name: InstancesByPhone :many
-- InstancesByPhone finds the instances of the Cloud API by their phone_number_id,
-- as far as the instance whose webhook told of them may speak for them: itself, and
-- those of the same app, whose webhooks the same secret signs.
SELECT i.id, i.phone_number_id::text AS phone_number_id
FROM instances i
JOIN instances speaker ON speaker.id = @speaker_id
WHERE i.phone_number_id = ANY(@phone_number_ids::text[]) AND i.deleted_at IS NULL
  AND (i.id = speaker.id OR i.app_secret_hashes && speaker.app_secret_hashes);

-- name: ListInstances :many
-- ListInstances lists instances by name, after a name; empty names mean all.
SELECT * FROM instances
WHERE deleted_at IS NULL AND name > @after_name
  AND (cardinality(@names::text[]) = 0 OR name = ANY(@names::text[]))
ORDER BY name
LIMIT @max_rows;

-- name: InstanceIDs :many
-- InstanceIDs finds instances, deleted ones included; no names mean all.
SELECT id, name FROM instances
WHERE cardinality(@names::text[]) = 0 OR name = ANY(@names::text[]);

-- name: PutInstance :one
-- PutInstance makes or changes an instance. Null leaves a secret or a limit as
-- it is, and a limit of 0 takes it away; putting an instance ends a block, and a
-- pause that a failure had caused, and has its limits asked anew.
INSERT INTO instances AS i (
    name, gateway, base_url, credential, webhook_token_hash, in_doubt, rate_per_minute, burst, chat_rate_per_minute, chat_burst,
    gap_min_ms, gap_max_ms, daily_cap, warm_up_start, warm_up_days, warm_up_first, phone_number_id, app_secret, app_secret_hashes, verify_token_hash
)
VALUES (
    @name, @gateway, @base_url, sqlc.narg('credential'), sqlc.narg('webhook_token_hash'), COALESCE(sqlc.narg('in_doubt')::text, 'hold'),
    NULLIF(sqlc.narg('rate_per_minute')::integer, 0), NULLIF(sqlc.narg('burst')::integer, 0),
    NULLIF(sqlc.narg('chat_rate_per_minute')::integer, 0), NULLIF(sqlc.narg('chat_burst')::integer, 0),
    CASE WHEN sqlc.narg('gap_max_ms')::integer > 0 THEN sqlc.narg('gap_min_ms')::integer END, NULLIF(sqlc.narg('gap_max_ms')::integer, 0),
    NULLIF(sqlc.narg('daily_cap')::integer, 0),
    CASE WHEN sqlc.narg('warm_up_days')::integer > 0 THEN COALESCE(sqlc.narg('warm_up_start')::date, (now() AT TIME ZONE 'UTC')::date) END,
    NULLIF(sqlc.narg('warm_up_days')::integer, 0),
    CASE WHEN sqlc.narg('warm_up_days')::integer > 0 THEN sqlc.narg('warm_up_first')::integer END,
    CASE WHEN @gateway = 'cloud' THEN sqlc.narg('phone_number_id')::text END, sqlc.narg('app_secret'),
    CASE WHEN sqlc.narg('app_secret_hash')::bytea IS NOT NULL THEN ARRAY[sqlc.narg('app_secret_hash')::bytea] END, sqlc.narg('verify_token_hash')
)
ON CONFLICT ON CONSTRAINT instances_name_key DO UPDATE
SET gateway = excluded.gateway,
    base_url = excluded.base_url,
    credential = CASE WHEN i.deleted_at IS NULL THEN COALESCE(excluded.credential, i.credential) ELSE excluded.credential END,
    webhook_token_hash = CASE WHEN i.deleted_at IS NULL THEN COALESCE(excluded.webhook_token_hash, i.webhook_token_hash) ELSE excluded.webhook_token_hash END,
    previous_webhook_token_hash = CASE WHEN i.deleted_at IS NULL AND excluded.webhook_token_hash IS NULL THEN i.previous_webhook_token_hash END,
    rate_per_minute = CASE WHEN sqlc.narg('rate_per_minute')::integer IS NULL THEN i.rate_per_minute ELSE excluded.rate_per_minute END,
    burst = CASE WHEN sqlc.narg('burst')::integer IS NULL THEN i.burst ELSE excluded.burst END,
    chat_rate_per_minute = CASE WHEN sqlc.narg('chat_rate_per_minute')::integer IS NULL THEN i.chat_rate_per_minute ELSE excluded.chat_rate_per_minute END,
    chat_burst = CASE WHEN sqlc.narg('chat_burst')::integer IS NULL THEN i.chat_burst ELSE excluded.chat_burst END,
    gap_min_ms = CASE WHEN sqlc.narg('gap_max_ms')::integer IS NULL THEN i.gap_min_ms ELSE excluded.gap_min_ms END,
    gap_max_ms = CASE WHEN sqlc.narg('gap_max_ms')::integer IS NULL THEN i.gap_max_ms ELSE excluded.gap_max_ms END,
    daily_cap = CASE WHEN sqlc.narg('daily_cap')::integer IS NULL THEN i.daily_cap ELSE excluded.daily_cap END,
    warm_up_start = CASE
        WHEN sqlc.narg('warm_up_days')::integer IS NULL THEN i.warm_up_start
        WHEN sqlc.narg('warm_up_start')::date IS NULL AND excluded.warm_up_days IS NOT NULL THEN COALESCE(i.warm_up_start, excluded.warm_up_start)
        ELSE excluded.warm_up_start END,
    warm_up_days = CASE WHEN sqlc.narg('warm_up_days')::integer IS NULL THEN i.warm_up_days ELSE excluded.warm_up_days END,
    warm_up_first = CASE WHEN sqlc.narg('warm_up_days')::integer IS NULL THEN i.warm_up_first ELSE excluded.warm_up_first END,
    phone_number_id = CASE WHEN excluded.gateway = 'cloud' THEN COALESCE(excluded.phone_number_id, i.phone_number_id) END,
    previous_app_secret = CASE WHEN i.deleted_at IS NULL THEN CASE WHEN excluded.app_secret IS NULL THEN i.previous_app_secret ELSE i.app_secret END END,
    app_secret = CASE WHEN i.deleted_at IS NULL THEN COALESCE(excluded.app_secret, i.app_secret) ELSE excluded.app_secret END,
    app_secret_hashes = CASE
        WHEN i.deleted_at IS NOT NULL THEN excluded.app_secret_hashes
        WHEN excluded.app_secret_hashes IS NULL THEN i.app_secret_hashes
        ELSE excluded.app_secret_hashes || i.app_secret_hashes[1:1] END,
    verify_token_hash = CASE WHEN i.deleted_at IS NULL THEN COALESCE(excluded.verify_token_hash, i.verify_token_hash) ELSE excluded.verify_token_hash END,
    slot_at = NULL, gap_until = NULL, probe_at = NULL,
    in_doubt = COALESCE(sqlc.narg('in_doubt')::text, i.in_doubt),
    paused_at = CASE WHEN i.pause_reason = 'operator' THEN i.paused_at END,
    pause_reason = CASE WHEN i.pause_reason = 'operator' THEN i.pause_reason END,
    failures = 0, blocked_until = NULL, block_reason = NULL,
    updated_at = now(),
    deleted_at = NULL
RETURNING sqlc.embed(i), (xmax = 0)::boolean AS is_new;

-- name: RotateWebhookToken :exec
-- RotateWebhookToken gives an instance a webhook token that counts beside the one
-- that its gateway shows now; null: it shows none that counts.
UPDATE instances
SET webhook_token_hash = @webhook_token_hash, previous_webhook_token_hash = sqlc.narg('previous_webhook_token_hash'), updated_at = now()
WHERE name = @name AND deleted_at IS NULL;

-- name: EnsureInstance :one
-- EnsureInstance finds an instance, or makes it on the default gateway.
INSERT INTO instances AS i (name, gateway) VALUES (@name, 'evolution')
ON CONFLICT ON CONSTRAINT instances_name_key DO UPDATE SET deleted_at = NULL, updated_at = now()
RETURNING *;

-- name: DeleteInstance :execrows
-- DeleteInstance forgets an instance's credentials and cancels what it has not
-- sent; its history stays.
WITH gone AS (
    UPDATE instances
    SET deleted_at = now(), updated_at = now(), credential = NULL, webhook_token_hash = NULL,
        previous_webhook_token_hash = NULL, app_secret = NULL, previous_app_secret = NULL,
        app_secret_hashes = NULL, verify_token_hash = NULL, paused_at = NULL, pause_reason = NULL
    WHERE name = @name AND deleted_at IS NULL
    RETURNING id
), canceled AS (
    UPDATE messages m
    SET status = 'canceled', stopped_at = now(), settled_at = now(),
        history = m.history || jsonb_build_object('status', 'canceled', 'at', now())
    FROM gone g
    WHERE m.instance_id = g.id AND m.settled_at IS NULL AND m.seq > 0 AND m.status IN ('queued', 'scheduled')
)
SELECT id FROM gone;

-- name: HoldInstance :one
-- HoldInstance pauses an instance because a person wants it.
UPDATE instances SET paused_at = COALESCE(paused_at, now()), pause_reason = 'operator', updated_at = now()
WHERE name = @name AND deleted_at IS NULL
RETURNING *;

-- name: ResumeInstance :one
UPDATE instances
SET paused_at = NULL, pause_reason = NULL, probe_at = NULL, failures = 0, blocked_until = NULL, block_reason = NULL, slot_at = NULL, updated_at = now()
WHERE name = @name AND deleted_at IS NULL
RETURNING *;
