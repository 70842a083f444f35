#!/bin/sh
# Run once by PostgreSQL's image, on an empty data folder: the tables' owner and the API's user, who own as little as can be.
set -eu

psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --set owner_password="$TASKS_OWNER_PASSWORD" --set app_password="$TASKS_APP_PASSWORD" << 'SQL'
-- The migrations make these three where they are missing; made here, the API's user can be given the first before any table.
-- They are this database's own (DATABASE_ROLE in compose.yaml): another database on this server has others.
CREATE ROLE tasks_rows NOLOGIN NOINHERIT;
CREATE ROLE tasks_rows_purge NOLOGIN NOINHERIT;
CREATE ROLE tasks_rows_deliver NOLOGIN NOINHERIT;
CREATE ROLE tasks_owner LOGIN CREATEROLE PASSWORD :'owner_password'
  IN ROLE tasks_rows, tasks_rows_purge, tasks_rows_deliver;
CREATE ROLE tasks_app LOGIN NOINHERIT PASSWORD :'app_password' IN ROLE tasks_rows;
CREATE DATABASE tasks OWNER tasks_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE tasks FROM PUBLIC;
GRANT CONNECT ON DATABASE tasks TO tasks_app;
SQL
