#!/usr/bin/env bash
# Unpacks the distribution's Prometheus, promtool and amtool into .cache/prometheus, for the tests. Installs and starts nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.cache/prometheus
packages=(prometheus prometheus-alertmanager prometheus-node-exporter)

[[ ! -e $folder/.unpacked ]] || exit 0
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
if ! apt-get download -qq "${packages[@]}" 2>/dev/null && [[ $(id -u) -eq 0 ]]; then # no list of packages yet
    apt-get update -qq
fi
apt-get download -qq "${packages[@]}" 2>/dev/null || {
    echo "make monitoring: cannot download ${packages[*]}. Run apt-get update as root, on Debian 12 or Ubuntu 24.04." >&2
    exit 1
}
for package in *.deb; do
    dpkg-deb --extract "$package" .
done
rm -- *.deb
touch .unpacked
