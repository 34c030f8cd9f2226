-- The stream's first and last position are known only when the statement runs. They then exclude the partitions
-- without events of the stream: of 120 partitions one is read, the others are "never executed". Within a stream,
-- versions are in position order; ordering by version uses the index (stream_id, version).
-- The stream's tenant is checked once, before any event is read: another tenant's stream of any length costs the same
-- as an unknown id.
WHERE stream_id = $1 AND version > $2
  AND EXISTS (SELECT FROM streams WHERE id = $1 AND ($4::uuid IS NULL OR tenant = $4))
  AND position >= (SELECT first_position FROM streams WHERE id = $1)
  AND position <= (SELECT last_position FROM streams WHERE id = $1)
ORDER BY version
LIMIT $3
