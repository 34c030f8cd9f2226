-- The outer condition is looked at again where an append has taken the key anew in the meantime.
DELETE FROM claims
WHERE expires_at <= $1
  AND key IN (SELECT key FROM claims WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
