#!/usr/bin/env bash
# Makes the roles of docs/operations.md when the database is made: an owner who migrates and a login that serves. Neither
# is a superuser. PostgreSQL's image runs this once, over an empty volume.
set -euo pipefail

: "${ROENTGEN_OWNER_PASSWORD:?}" "${ROENTGEN_APP_PASSWORD:?}"

psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=database="$POSTGRES_DB" --set=owner="$ROENTGEN_OWNER_PASSWORD" --set=app="$ROENTGEN_APP_PASSWORD" <<'SQL'
CREATE ROLE roentgen_server NOLOGIN;
CREATE ROLE roentgen_owner LOGIN PASSWORD :'owner' IN ROLE roentgen_server;
CREATE ROLE roentgen_app LOGIN PASSWORD :'app' IN ROLE roentgen_server;
ALTER DATABASE :"database" OWNER TO roentgen_owner;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO roentgen_app;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SQL
