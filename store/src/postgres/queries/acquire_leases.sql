-- Leases expire by this database's clock, which is read again after a wait for a row. All nodes lock rows in one order.
INSERT INTO read.leases AS l (name, holder, expires_at)
SELECT name, $2, clock_timestamp() + $3 * interval '1 millisecond'
FROM unnest($1::text[]) AS name ORDER BY name
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, expires_at = clock_timestamp() + $3 * interval '1 millisecond'
WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
RETURNING name
