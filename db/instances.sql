-- name: InstanceByName :one
SELECT * FROM instances WHERE name = @name AND deleted_at IS NULL;

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
-- PutInstance makes or changes an instance. Null leaves a secret or the rate
-- as it is; new credentials end a pause that a failure had caused.
INSERT INTO instances AS i (name, gateway, base_url, credential, webhook_token_hash, rate_per_minute, in_doubt)
VALUES (@name, @gateway, @base_url, sqlc.narg('credential'), sqlc.narg('webhook_token_hash'), sqlc.narg('rate_per_minute'), COALESCE(sqlc.narg('in_doubt')::text, 'hold'))
ON CONFLICT ON CONSTRAINT instances_name_key DO UPDATE
SET gateway = excluded.gateway,
    base_url = excluded.base_url,
    credential = CASE WHEN i.deleted_at IS NULL THEN COALESCE(excluded.credential, i.credential) ELSE excluded.credential END,
    webhook_token_hash = CASE WHEN i.deleted_at IS NULL THEN COALESCE(excluded.webhook_token_hash, i.webhook_token_hash) ELSE excluded.webhook_token_hash END,
    rate_per_minute = COALESCE(excluded.rate_per_minute, i.rate_per_minute),
    in_doubt = COALESCE(sqlc.narg('in_doubt')::text, i.in_doubt),
    paused_at = CASE WHEN i.pause_reason = 'operator' THEN i.paused_at END,
    pause_reason = CASE WHEN i.pause_reason = 'operator' THEN i.pause_reason END,
    failures = 0, blocked_until = NULL, block_reason = NULL,
    updated_at = now(),
    deleted_at = NULL
RETURNING sqlc.embed(i), (xmax = 0)::boolean AS is_new;

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
    SET deleted_at = now(), updated_at = now(), credential = NULL, webhook_token_hash = NULL, paused_at = NULL, pause_reason = NULL
    WHERE name = @name AND deleted_at IS NULL
    RETURNING id
), canceled AS (
    UPDATE messages m
    SET status = 'canceled', stopped_at = now(), settled_at = now(),
        history = m.history || jsonb_build_object('status', 'canceled', 'at', now())
    FROM gone g
    WHERE m.instance_id = g.id AND m.settled_at IS NULL AND m.status IN ('queued', 'scheduled')
)
SELECT id FROM gone;

-- name: HoldInstance :one
-- HoldInstance pauses an instance because a person wants it.
UPDATE instances SET paused_at = COALESCE(paused_at, now()), pause_reason = 'operator', updated_at = now()
WHERE name = @name AND deleted_at IS NULL
RETURNING *;

-- name: ResumeInstance :one
UPDATE instances SET paused_at = NULL, pause_reason = NULL, failures = 0, blocked_until = NULL, block_reason = NULL, updated_at = now()
WHERE name = @name AND deleted_at IS NULL
RETURNING *;
