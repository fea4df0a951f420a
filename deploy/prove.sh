#!/bin/bash
# Proves docker-compose.yml on this machine: up, healthy within its time, answers, nothing escapes, restarted after a
# kill, down. Works under a project name and with secrets and ports of its own; removes all of it at the end.
# Needs the images (deploy/Dockerfile or `make images`). About two minutes; gives up after five.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
project=moorage-prove-$$
export MOORAGE_SECRETS="$scratch/secrets" MOORAGE_WEB_PORT="${MOORAGE_WEB_PORT:-8180}" \
  MOORAGE_FLOWER_PORT="${MOORAGE_FLOWER_PORT:-8181}" MOORAGE_REPOSITORY_ROOTS=/var/lib/moorage/remotes
read -ra compose <<<"${COMPOSE:-docker-compose}"
compose+=(--project-name "$project" -f docker-compose.yml)
if [ -n "${MOORAGE_PROVE_OVERLAY:-}" ]; then compose+=(-f "$MOORAGE_PROVE_OVERLAY"); fi
deadline=$((SECONDS + 300))

finish() {
  local code=$?
  if [ $code -ne 0 ]; then
    "${compose[@]}" ps || true
    "${compose[@]}" logs --tail=30 --no-color || true
  fi
  "${compose[@]}" down --volumes --timeout 25 >/dev/null 2>&1 || true
  rm -rf "$scratch"
  [ $code -eq 0 ] && echo "proved in $SECONDS s" || echo "NOT proved (exit code $code)"
  exit $code
}
trap finish EXIT

id_of() { "${compose[@]}" ps -q "$1"; }
state() { docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$(id_of "$1")" 2>/dev/null || echo absent; }
# until_is SERVICE STATE
until_is() {
  until [ "$(state "$1")" = "$2" ]; do
    if [ $SECONDS -gt $deadline ]; then echo "$1 is $(state "$1"), not $2"; return 1; fi
    sleep 0.5
  done
  echo "ok  $1 is $2 after $SECONDS s"
}
check() { local what=$1; shift; if "$@"; then echo "ok  $what"; else echo "NO  $what"; return 1; fi; }
answers() { [ "$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 "$@")" = "$expect" ]; }

deploy/secrets.sh "$MOORAGE_SECRETS" >/dev/null
for name in redis_password database_password secret_key flower_password; do
  printf '%s\n' "$(cat "$MOORAGE_SECRETS/$name")" >>"$scratch/values"
done
"${compose[@]}" up -d >"$scratch/up.log" 2>&1 || { cat "$scratch/up.log"; exit 1; }
for service in postgres redis web worker control sessionhost flower; do until_is "$service" healthy; done
until_is beat running

expect=200 check "the web process answers" answers "http://127.0.0.1:$MOORAGE_WEB_PORT/healthz"
expect=401 check "Flower asks for a password" answers "http://127.0.0.1:$MOORAGE_FLOWER_PORT/"
expect=200 check "Flower takes ours" answers --config - "http://127.0.0.1:$MOORAGE_FLOWER_PORT/" \
  <<<"user = \"operator:$(cat "$MOORAGE_SECRETS/flower_password")\""
for service in redis postgres web worker control beat sessionhost flower; do
  id=$(id_of "$service")
  check "$service is not root" test "$(docker exec "$id" id -u)" != 0
  check "$service cannot write its root file system" \
    sh -c "! docker exec '$id' sh -c 'echo x >/etc/moorage-was-here' 2>/dev/null"
  docker exec "$id" sh -c 'cat /proc/[0-9]*/cmdline' 2>/dev/null | tr '\0' '\n' >"$scratch/arguments" || true
  check "$service shows its arguments" test -s "$scratch/arguments"
  check "$service has no secret among them" sh -c "! grep -qFf '$scratch/values' '$scratch/arguments'"
  if [ "$service" != worker ]; then
    check "$service does not see the Docker engine" sh -c "! docker exec '$id' test -e /var/run/docker.sock"
  fi
done
check "Redis refuses whoever has no password" \
  sh -c "docker exec '$(id_of redis)' redis-cli ping 2>&1 | grep -q NOAUTH"
worker=$(id_of worker)
since() { docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.RestartCount}}' "$worker"; }
check "a user can be made and gets a token" sh -c "docker exec '$(id_of web)' sh -c \
  'python manage.py createsuperuser --no-input --username prover --email prover@localhost >/dev/null 2>&1; /opt/moorage/deploy/entrypoint.sh python manage.py token prover 2>/dev/null' | grep -q ^moor_"
check "a repository lies where the operator allows it" docker exec "$worker" python -c "
from pathlib import Path
from config.demo.remotes import build
build(examples=Path('examples'), remotes=Path('$MOORAGE_REPOSITORY_ROOTS'))"
check "a requirement becomes a pull request" docker exec "$(id_of web)" sh -c "
  export MOORAGE_URL=http://127.0.0.1:8000 MOORAGE_TOKEN=\$(/opt/moorage/deploy/entrypoint.sh python manage.py token prover 2>/dev/null | grep -o 'moor_.*')
  python -m cli.main project create tides $MOORAGE_REPOSITORY_ROOTS/tide-table.git &&
  timeout 120 python -m cli.main run --project tides -f examples/tide-table/requirement.md --watch"
before=$(since)
docker kill "$(id_of redis)" >/dev/null
docker start "$(id_of redis)" >/dev/null # a kill by hand counts as stopped by hand: restart policies leave it alone
until_is redis healthy
until_is worker healthy
check "the worker consumes again" docker exec "$worker" /opt/moorage/deploy/entrypoint.sh \
  python -m config.part worker --probe
check "and has never stopped meanwhile, as its container says" test "$(since)" = "$before"
