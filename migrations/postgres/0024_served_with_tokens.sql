-- A database that was ever served with tokens only is never served again without them, unless somebody says so: a server
-- that starts without its JWT secret would let everybody in as admin. The server writes the mark itself, once.
--
-- Lock: ACCESS EXCLUSIVE on `meta`, for an instant.
-- Compatibility: the previous release neither writes nor reads the mark.

CREATE POLICY meta_takes_the_mark_of_tokens ON public.meta FOR INSERT TO roentgen_server
    WITH CHECK (name = 'served_with_tokens');
