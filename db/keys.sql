-- name: CreateKey :exec
INSERT INTO api_keys (id, name, hash, scopes, instances) VALUES (@id, @name, @hash, @scopes, @instances);

-- name: KeysByHash :many
-- KeysByHash finds keys that are not revoked.
SELECT * FROM api_keys WHERE hash = ANY(@hashes::bytea[]) AND revoked_at IS NULL;

-- name: ListKeys :many
SELECT id, name, scopes, instances, created_at, revoked_at FROM api_keys ORDER BY created_at DESC, id DESC;

-- name: RevokeKey :execrows
UPDATE api_keys SET revoked_at = now() WHERE id = @id AND revoked_at IS NULL;
