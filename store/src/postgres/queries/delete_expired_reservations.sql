-- The outer condition is evaluated again for a row in which an append has reserved the key in the meantime.
DELETE FROM claims
WHERE expires_at <= $1
  AND key IN (SELECT key FROM claims WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
