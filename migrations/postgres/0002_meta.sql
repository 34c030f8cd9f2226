-- Facts about the database itself, by name: `master_key_fingerprint`, written when a server first opens it, and
-- `partition_size`, the number of events a partition of the log takes, as decimal text, where it is not 10,000,000.
--
-- Old code: there is none.

CREATE TABLE meta (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

GRANT SELECT, INSERT ON meta TO roentgen_server;
