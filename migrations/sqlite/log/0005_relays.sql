-- How far each relay (NATS JetStream) is: what of the log has left the house, and where it stands there.
--
-- Why here and not beside the read models' checkpoints: those can be made again from the log, and this cannot. A stream
-- that was emptied by age or by hand does not say what it held. One row, moved a few times a second at most, by
-- compare-and-set. `stream_created` is in nanoseconds since the epoch, as the NATS server stamped it.
--
-- Old code sees: nothing.
CREATE TABLE relays (
    name           TEXT    PRIMARY KEY,
    position       INTEGER NOT NULL,
    hash           BLOB    NOT NULL,
    stream_created INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
