#!/bin/sh
# For the image of build-offline.sh: what the official postgres image does with the same variables, no more.
# Makes the cluster on the first start from POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD_FILE.
set -eu
PGDATA=${PGDATA:-/var/lib/postgresql/data}
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
export PGDATA PATH
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Cut off while it was made, before or between the moves below: what is there was never a cluster. `making` goes last.
  if [ -d "$PGDATA/making" ]; then
    find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name making ! -name lost+found -exec rm -rf {} +
    rm -rf "$PGDATA/making"
  elif [ -n "$(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found 2>/dev/null)" ]; then
    echo "$PGDATA holds something that is no cluster (no PG_VERSION): empty it, or give another volume" >&2
    exit 1
  fi
  initdb --pgdata="$PGDATA/making" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust \
    --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/making/pg_hba.conf"
  echo "CREATE DATABASE \"$POSTGRES_DB\";" | postgres --single -D "$PGDATA/making" postgres >/dev/null
  # PG_VERSION comes last: a cluster that was cut off while it was made is made again.
  for entry in "$PGDATA"/making/*; do
    [ "${entry##*/}" = PG_VERSION ] || mv "$entry" "$PGDATA/"
  done
  mv "$PGDATA/making/PG_VERSION" "$PGDATA/"
  rmdir "$PGDATA/making"
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
