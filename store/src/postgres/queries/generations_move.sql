-- Moves the checkpoints of tables, all or none: each stands where its mover last saw it, and is filled or read. Rows are
-- locked in order of name, so that of two movers the second waits and finds them moved.
--
-- $1 the tables; $2 and $3 where they stand; $4 and $5 where they go
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
