"""Prints a Parquet file's columns with their types, then its rows, as DuckDB reads them: duckdb_rows.py FILE."""

import json
import sys

import duckdb

file = sys.argv[1]
columns = duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [file]).fetchall()
print(json.dumps([[name, kind] for name, kind, *_ in columns]))

rows = duckdb.execute(
    "SELECT * REPLACE (epoch_ms(recorded_at) AS recorded_at, lower(hex(leaf)) AS leaf, lower(hex(hash)) AS hash)"
    " FROM read_parquet(?) ORDER BY position",
    [file],
)
names = [name for name, *_ in columns]
while row := rows.fetchone():
    row = dict(zip(names, row, strict=True))
    row["actor"], row["data"] = json.loads(row["actor"]), json.loads(row["data"])
    print(json.dumps(row))
