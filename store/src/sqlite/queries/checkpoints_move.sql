-- Moves a projection's checkpoint, where it still stands where the mover last saw it.
--
-- ?1 the projection; ?2 and ?3 the new position and hash; ?4 and ?5 the old ones
UPDATE checkpoints SET position = ?2, hash = ?3
WHERE projection = ?1 AND position = ?4 AND hash = ?5
