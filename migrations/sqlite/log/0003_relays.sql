-- Checkpoints of relays (NATS JetStream): what has been published, and where it is in the stream.
--
-- In the log's file, because it cannot be rebuilt from the log, unlike the checkpoints of read models: a stream that was
-- emptied by age or by hand does not tell what it contained. One row, advanced by compare-and-set a few times a second at
-- most. `stream_created` is the stream's creation time in nanoseconds since the epoch, by the clock of the NATS server.
--
-- Compatibility: first release.

CREATE TABLE relays (
    name           TEXT    PRIMARY KEY,
    position       INTEGER NOT NULL,
    hash           BLOB    NOT NULL,
    stream_created INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
