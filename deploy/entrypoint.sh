#!/bin/sh
# The address of Redis holds its password, so it comes as a file; everything else reads its own NAME_FILE.
set -eu
if [ -n "${MOORAGE_REDIS_URL_FILE:-}" ]; then
  MOORAGE_REDIS_URL=$(cat "$MOORAGE_REDIS_URL_FILE")
  export MOORAGE_REDIS_URL
fi
exec "$@"
