#!/bin/sh
# Builds the sandbox image without a container registry: debootstrap from the Debian mirror that this machine's
# apt already uses, then `docker import`. About a minute. Needs root, debootstrap and a running Docker engine.
#   deploy/sandbox/build-offline.sh [IMAGE]          (default moorage/sandbox:latest)
#   MOORAGE_DEBIAN_MIRROR=URL overrides the mirror; MOORAGE_DEBIAN_SUITE the suite (bookworm: Python 3.11).
set -eu

image=${1:-moorage/sandbox:latest}
suite=${MOORAGE_DEBIAN_SUITE:-bookworm}
packages=python3,python3-venv,git,ca-certificates

fail() { echo "build-offline: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "debootstrap needs root: run it with sudo"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
command -v docker >/dev/null || fail "the docker client is missing: apt-get install docker.io"
docker info >/dev/null 2>&1 || fail "no Docker engine answers: start dockerd first"

mirror=${MOORAGE_DEBIAN_MIRROR:-}
if [ -z "$mirror" ]; then
  # The archive that apt reads the suite from; a security or backports archive has no base system.
  mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null \
    | awk -v suite="$suite" '$1 == suite { print $2; exit }')
fi
[ -n "$mirror" ] || fail "apt knows no mirror of $suite: set MOORAGE_DEBIAN_MIRROR"

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT INT TERM

debootstrap --variant=minbase --include="$packages" "$suite" "$root/rootfs" "$mirror" >"$root/log" 2>&1 \
  || { tail -n 20 "$root/log" >&2; fail "debootstrap failed"; }

# Nobody runs as root inside; the engine overrides the uid with the one that owns the workspace.
chroot "$root/rootfs" useradd --create-home --uid 10001 --shell /bin/bash berth
# A toolchain of the host may be mounted beneath /root, at the path it has there; others must be able to walk to it.
chmod 755 "$root/rootfs/root"
# What a sandbox never needs: package lists, caches, the mirror's address, documentation.
rm -rf "$root/rootfs/var/cache/apt" "$root/rootfs/var/lib/apt/lists" "$root/rootfs/var/log" \
  "$root/rootfs/usr/share/doc" "$root/rootfs/usr/share/man" "$root/rootfs/usr/share/info"
mkdir -p "$root/rootfs/var/log" "$root/rootfs/var/lib/apt/lists" "$root/rootfs/var/cache/apt"
rm -f "$root/rootfs/etc/apt/sources.list" "$root/rootfs/etc/resolv.conf" "$root/rootfs/etc/hostname"
# A setuid program is a way up that no berth needs.
find "$root/rootfs" -xdev -type f -perm /6000 -exec chmod ug-s {} +

tar -C "$root/rootfs" --numeric-owner --one-file-system -c . \
  | docker import \
    --change 'USER berth' \
    --change 'ENV LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin' \
    --change 'LABEL moorage.image=sandbox' \
    --change 'CMD ["sleep", "infinity"]' \
    - "$image" >/dev/null

docker run --rm --network none "$image" python3 -c 'import sys; assert sys.version_info >= (3, 11), sys.version' \
  || fail "the image does not start"
docker run --rm --network none "$image" git --version >/dev/null || fail "the image has no git"
echo "build-offline: $image is ready"
