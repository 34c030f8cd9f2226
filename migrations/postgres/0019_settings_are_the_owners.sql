-- `meta` holds facts that the server records when it first opens the database, and settings that only the owner may
-- change. `roentgen_server` could insert any row, `partition_size` among them, which `log_ensure_partitions` obeys with
-- the owner's rights. From here on it may insert the fingerprints of keys, each once, and nothing else.
--
-- Lock: ACCESS EXCLUSIVE on `meta`, for an instant.
-- Compatibility: the previous release inserts `master_key_fingerprint` only. The owner is not subject to the policies.

ALTER TABLE public.meta ENABLE ROW LEVEL SECURITY;

CREATE POLICY meta_is_read ON public.meta FOR SELECT TO roentgen_server USING (true);

CREATE POLICY meta_takes_fingerprints ON public.meta FOR INSERT TO roentgen_server
    WITH CHECK (name IN ('master_key_fingerprint', 'event_key_fingerprint'));
