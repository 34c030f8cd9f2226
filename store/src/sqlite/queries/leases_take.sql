-- Takes a lease that is free, run out, or the holder's own.
--
-- ?1 the lease; ?2 the holder; ?3 when it is to run out; ?4 now
INSERT INTO leases (name, holder, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE leases.holder = excluded.holder OR leases.expires_at <= ?4
