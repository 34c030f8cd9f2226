-- How far a generation is filled before it is indexed. Each stream is folded when it begins, with all that it has up to
-- there, so that whoever goes on with a filling has to go on to the same position (docs/adr/0014).
--
-- Old code beside it: a generation that it asked for is filled up to position 0, that is, it catches up from there.
ALTER TABLE generations ADD COLUMN upto INTEGER NOT NULL DEFAULT 0;
