-- Deletes expired reservations, a few at a time, so that the write lock is never held for long.
--
-- ?1 now, in milliseconds; ?2 the maximum number of rows
DELETE FROM claims
WHERE key IN (SELECT key FROM claims WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
