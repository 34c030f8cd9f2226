-- Advances the checkpoints of tables by compare-and-set, all or none; the generations must be filling, joining or live.
-- Rows are locked in the order of names, so that of two nodes the second waits and finds the checkpoints advanced.
--
-- $1 the tables; $2 and $3 the old positions and hashes; $4 and $5 the new position and hash
WITH wanted AS (
    SELECT unnest($1::text[]) AS name, unnest($2::bigint[]) AS position, unnest($3::bytea[]) AS hash
), held AS MATERIALIZED (
    SELECT g.name FROM read.generations AS g JOIN wanted AS w USING (name)
    WHERE g.position = w.position AND g.hash = w.hash AND g.state IN ('filling', 'joining', 'live')
    ORDER BY g.name FOR NO KEY UPDATE OF g
), moved AS (
    UPDATE read.generations AS g SET position = $4, hash = $5 FROM held
    WHERE g.name = held.name AND (SELECT count(*) FROM held) = cardinality($1)
    RETURNING 1
)
