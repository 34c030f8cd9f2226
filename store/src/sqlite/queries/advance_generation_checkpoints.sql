-- Advances a table's checkpoint by compare-and-set; the generation must be filling, joining or live.
--
-- ?1 the table; ?2 and ?3 the new position and hash; ?4 and ?5 the old ones
UPDATE generations SET position = ?2, hash = ?3
WHERE name = ?1 AND position = ?4 AND hash = ?5 AND state IN ('filling', 'joining', 'live')
