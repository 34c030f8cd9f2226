-- By this database's clock, which is read again after a wait for the row.
INSERT INTO read.leases AS l (name, holder, expires_at)
VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, expires_at = clock_timestamp() + $3 * interval '1 millisecond'
WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
