-- Advances a relay's checkpoint by compare-and-set.
--
-- ?1 to ?6 as in relays_begin.sql; ?7 and ?8 the old position and hash; ?9 and ?10 the old creation and last sequence
UPDATE relays
SET position = ?2, hash = ?3, stream_created = ?4, first_sequence = ?5, last_sequence = ?6
WHERE name = ?1 AND position = ?7 AND hash = ?8 AND stream_created = ?9 AND last_sequence = ?10
