-- The stream's own bounds are known only when the statement runs, and then leave out the partitions that hold nothing
-- of it: of 120 partitions one is read, the others are "never executed". Within a stream versions are in position
-- order; asking for the versions' order keeps to the index (stream_id, version).
WHERE stream_id = $1 AND version > $2
  AND position >= (SELECT first_position FROM streams WHERE id = $1)
  AND position <= (SELECT last_position FROM streams WHERE id = $1)
ORDER BY version
LIMIT $3
