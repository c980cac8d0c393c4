#!/usr/bin/env bash
# Unpacks packages of the distribution into a folder, for the tests; once. Installs and starts nothing. unpack.sh FOLDER PACKAGE...
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1
shift

[[ ! -e $folder/.unpacked ]] || exit 0
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
if ! apt-get download -qq "$@" 2>/dev/null && [[ $(id -u) -eq 0 ]]; then # no list of packages yet
    apt-get update -qq
fi
apt-get download -qq "$@" 2>/dev/null || {
    echo "unpack.sh: cannot download $*. Run apt-get update as root, on Debian 12 or Ubuntu 24.04." >&2
    exit 1
}
for package in *.deb; do
    dpkg-deb --extract "$package" .
done
rm -- *.deb
touch .unpacked
