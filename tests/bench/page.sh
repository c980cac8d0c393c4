#!/usr/bin/env bash
# Measures the service of the lab, and lets a browser draw the page of the report for docs/benchmark.md. Needs chromium.
set -euo pipefail
cd "$(dirname "$0")/../.."

reports=$(mktemp --directory)
trap 'rm -rf "$reports"' EXIT
ansible-playbook site.yml -i inventories/lab
ansible-playbook playbooks/benchmark.yml -i inventories/lab -e "benchmark_dir=$reports" \
    -e benchmark_minutes=4 -e benchmark_input_tokens=128 -e benchmark_output_tokens=64
mkdir -p docs/pictures
chromium --headless --no-sandbox --hide-scrollbars --window-size=1050,1400 --screenshot=docs/pictures/benchmark.png "file://$(echo "$reports"/*.html)"
