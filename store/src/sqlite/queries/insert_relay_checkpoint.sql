-- Inserts a relay's first row.
--
-- ?1 the relay; ?2 and ?3 position and hash; ?4 the stream's creation; ?5 and ?6 its first and last sequence
INSERT INTO relays (name, position, hash, stream_created, first_sequence, last_sequence)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (name) DO NOTHING
