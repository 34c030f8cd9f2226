-- What the database says about itself: the fingerprint of the master key it was first opened with.
--
-- Why here: it belongs to the keys that the master key wraps, and goes wherever they go.
--
-- Old code sees: nothing.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
