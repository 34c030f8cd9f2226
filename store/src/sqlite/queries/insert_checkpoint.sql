-- Advances a subscription's checkpoint from the start, if it has no row yet or is at position 0.
--
-- ?1 the subscription; ?2 and ?3 the new position and hash
INSERT INTO checkpoints (projection, position, hash) VALUES (?1, ?2, ?3)
ON CONFLICT (projection) DO UPDATE SET position = excluded.position, hash = excluded.hash
WHERE checkpoints.position = 0
