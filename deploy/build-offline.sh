#!/bin/bash
# Builds the three images of docker-compose.yml without an image registry: debootstrap from the Debian mirror that
# this machine's apt already uses, pip from the index that pip is configured for. Needs root, debootstrap, a running
# Docker engine, and `make setup` done.
#   deploy/build-offline.sh [app] [redis] [postgres]          (default: those that are missing)
# MOORAGE_APP_IMAGE, MOORAGE_REDIS_IMAGE and MOORAGE_POSTGRES_IMAGE name them, as in the compose file;
# MOORAGE_DEBIAN_MIRROR overrides the mirror.
set -euo pipefail
cd "$(dirname "$0")/.."

app=${MOORAGE_APP_IMAGE:-moorage/app:latest}
redis=${MOORAGE_REDIS_IMAGE:-redis:7-bookworm}
postgres=${MOORAGE_POSTGRES_IMAGE:-postgres:15-bookworm}
suite=bookworm

fail() { echo "build-offline: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "debootstrap needs root: run it with sudo"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
docker info >/dev/null 2>&1 || fail "no Docker engine answers: start dockerd first"
[ -x .venv/bin/pip ] || fail "run make setup first"

mirror=${MOORAGE_DEBIAN_MIRROR:-}
if [ -z "$mirror" ]; then
  mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' | awk -v s="$suite" '$1 == s { print $2; exit }')
fi
[ -n "$mirror" ] || fail "apt knows no mirror of $suite: set MOORAGE_DEBIAN_MIRROR"

scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
mkdir "$scratch/cache"

# system NAME PACKAGES: a Debian in $scratch/NAME, without its package lists and the mirror's address.
system() {
  local root="$scratch/$1"
  debootstrap --variant=minbase --cache-dir="$scratch/cache" --include="$2" "$suite" "$root" "$mirror" \
    >"$scratch/log" 2>&1 || { tail -n 20 "$scratch/log" >&2; fail "debootstrap failed for $1"; }
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc "$root"/usr/share/man
  rm -f "$root"/etc/apt/sources.list "$root"/etc/resolv.conf "$root"/etc/hostname
  find "$root" -xdev -type f -perm /6000 -exec chmod ug-s {} +
}

# image NAME TAG CHANGES…: the directory becomes an image.
image() {
  local root="$scratch/$1" tag=$2 changes=() change
  shift 2
  for change in "$@"; do changes+=(--change "$change"); done
  tar -C "$root" --numeric-owner --one-file-system -c . | docker import "${changes[@]}" - "$tag" >/dev/null
  rm -rf --one-file-system "$root"
  echo "build-offline: $tag is ready"
}

# owned USER ID: the ids of the official images, so that one compose file fits both.
owned() {
  local root=$1 user=$2 id=$3
  chroot "$root" groupmod --gid "$id" "$user"
  chroot "$root" usermod --uid "$id" --gid "$id" "$user"
}

build_app() {
  local root="$scratch/app" home=/opt/moorage
  system app python3,python3-venv,git,ca-certificates,bubblewrap
  mkdir -p "$root$home/deploy" "$scratch/wheels"
  .venv/bin/python -m pip download -qq --no-input --only-binary :all: --require-hashes -d "$scratch/wheels" \
    -r requirements.lock
  .venv/bin/python -m pip download -qq --no-input --only-binary :all: --require-hashes -d "$scratch/wheels" \
    -r deploy/toolchain/requirements.lock
  mv "$scratch/wheels" "$root/wheels"
  cp requirements.lock "$root/wheels/app.lock"
  cp deploy/toolchain/requirements.lock "$root/wheels/toolchain.lock"
  chroot "$root" /bin/sh -eu -c '
    python3 -m venv "$1/.venv"
    "$1/.venv/bin/pip" install -qq --no-index --find-links /wheels --require-hashes -r /wheels/app.lock
    python3 -m venv "$1/.toolchain"
    "$1/.toolchain/bin/pip" install -qq --no-index --find-links /wheels --require-hashes -r /wheels/toolchain.lock
    useradd --uid 10000 --user-group --no-create-home --home-dir /var/lib/moorage --shell /usr/sbin/nologin moorage
    install -d -m 700 -o moorage -g moorage /var/lib/moorage' sh "$home"
  rm -rf "$root/wheels"
  tar -c --exclude=__pycache__ manage.py pyproject.toml cli config workers operations sessions agents templates_app \
    resources events examples | tar -x --no-same-owner -C "$root$home"
  install -m 755 deploy/entrypoint.sh "$root$home/deploy/entrypoint.sh"
  image app "$app" "WORKDIR $home" 'USER moorage' "ENTRYPOINT [\"$home/deploy/entrypoint.sh\"]" \
    "ENV PATH=$home/.venv/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/var/lib/moorage MOORAGE_DATA=/var/lib/moorage PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1" \
    'LABEL moorage.image=app' 'CMD ["python", "manage.py", "check"]'
}

build_redis() {
  system redis redis-server
  owned "$scratch/redis" redis 999
  chroot "$scratch/redis" install -d -o redis -g redis /data
  image redis "$redis" 'WORKDIR /data' 'CMD ["redis-server"]' 'LABEL moorage.image=redis'
}

build_postgres() {
  local root="$scratch/postgres"
  system postgres postgresql
  rm -rf "$root"/var/lib/postgresql/* "$root"/etc/postgresql/*
  owned "$root" postgres 999
  # Inside a chroot: /var/run is an absolute link, which from outside leads to this machine's own /run.
  chroot "$root" /bin/sh -eu -c '
    install -d -m 700 -o postgres -g postgres /var/lib/postgresql/data
    rm -rf /run/postgresql && install -d -m 3777 -o postgres -g postgres /run/postgresql'
  install -m 755 deploy/postgres-entrypoint.sh "$root/usr/local/bin/docker-entrypoint.sh"
  image postgres "$postgres" 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]' \
    'ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin' \
    'LABEL moorage.image=postgres'
}

wanted=("$@")
if [ ${#wanted[@]} -eq 0 ]; then
  for name in app redis postgres; do
    docker image inspect "${!name}" >/dev/null 2>&1 || wanted+=("$name")
  done
fi
[ ${#wanted[@]} -gt 0 ] || echo "build-offline: every image is there; name app, redis or postgres to build it again"
for name in "${wanted[@]}"; do
  case $name in
    app | redis | postgres) "build_$name" ;;
    *) fail "there is no image $name: app, redis or postgres" ;;
  esac
done
