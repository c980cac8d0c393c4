#!/usr/bin/env bash
# Lets the running nodes install packages of the distribution with apt, as hosts with a mirror do: packages.sh PACKAGE...
# Downloads what the nodes' root lacks for them and for Ansible's apt module to a folder that all nodes see, and makes a repository of it.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
rootfs=${ASCEND_LAB_CACHE:-/var/cache/ascend-ops-lab}/rootfs
shared=${ASCEND_LAB_STATE:-/var/lib/ascend-ops-lab}/nodes/shared/packages

mkdir -p "$shared/partial"
apt-get install --quiet --quiet --download-only --yes --no-install-recommends \
    -o Dir::State::status="$rootfs/var/lib/dpkg/status" -o Dir::Cache::archives="$shared" -o Debug::NoLocking=true python3-apt "$@" || {
    echo "packages.sh: cannot download $*. Run apt-get update as root, on Debian 12." >&2
    exit 1
}
cd "$shared"
for package in *.deb; do
    dpkg-deb --field "$package"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$package" "$(stat --format=%s "$package")" "$(sha256sum "$package" | cut -d ' ' -f 1)"
done >Packages
for node in "$(dirname "$shared")"/../node*/; do
    "$here/lab" exec "$(basename "$node")" sh -c \
        'echo "deb [trusted=yes] file:/opt/shared/packages ./" >/etc/apt/sources.list && apt-get --quiet --quiet update'
done
