-- Moves a projection's checkpoint from the start, where there is none yet or one that stands there.
--
-- ?1 the projection; ?2 and ?3 the new position and hash
INSERT INTO checkpoints (projection, position, hash) VALUES (?1, ?2, ?3)
ON CONFLICT (projection) DO UPDATE SET position = excluded.position, hash = excluded.hash
WHERE checkpoints.position = 0
