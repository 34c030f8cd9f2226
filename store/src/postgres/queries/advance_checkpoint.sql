-- Advances a checkpoint by compare-and-set. A missing row means the start: position 0 and 32 zero bytes.
INSERT INTO read.checkpoints AS c (projection, position, hash)
SELECT $1, $2, $3
WHERE $4 = 0 OR EXISTS (SELECT FROM read.checkpoints WHERE projection = $1)
ON CONFLICT (projection) DO UPDATE SET position = excluded.position, hash = excluded.hash
WHERE c.position = $4 AND c.hash = $5
