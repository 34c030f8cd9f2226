-- The stream's own bounds are known only when the statement runs, and then leave out the partitions that hold nothing
-- of it: of 120 partitions one is read, the others are "never executed". Within a stream versions are in position
-- order; asking for the versions' order keeps to the index (stream_id, version).
-- Whose stream it is, is asked once and before any event is looked at: another tenant's stream costs what an unknown
-- id costs, however long it is.
WHERE stream_id = $1 AND version > $2
  AND EXISTS (SELECT FROM streams WHERE id = $1 AND ($4::uuid IS NULL OR tenant = $4))
  AND position >= (SELECT first_position FROM streams WHERE id = $1)
  AND position <= (SELECT last_position FROM streams WHERE id = $1)
ORDER BY version
LIMIT $3
