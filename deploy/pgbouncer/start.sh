#!/bin/sh
# Write who may connect from the environment, into memory and never into an image, and become PgBouncer.
set -eu
umask 077
# Inside quotes a quote is written twice.
quoted() { printf '%s' "$1" | sed 's/"/""/g'; }
printf '"%s" "%s"\n' "$(quoted "$POSTGRES_USER")" "$(quoted "$POSTGRES_PASSWORD")" >"${TMPDIR:-/tmp}/users.txt"
exec pgbouncer "${1:-/etc/pgbouncer/pgbouncer.ini}"
