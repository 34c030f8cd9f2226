-- Advances a subscription's checkpoint by compare-and-set.
--
-- ?1 the subscription; ?2 and ?3 the new position and hash; ?4 and ?5 the old ones
UPDATE checkpoints SET position = ?2, hash = ?3
WHERE projection = ?1 AND position = ?4 AND hash = ?5
