-- Takes a lease that is free, expired, or already held by the holder.
--
-- ?1 the lease; ?2 the holder; ?3 the new expiry; ?4 now
INSERT INTO leases (name, holder, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE leases.holder = excluded.holder OR leases.expires_at <= ?4
