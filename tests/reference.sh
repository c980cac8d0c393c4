#!/usr/bin/env bash
# Writes docs/reference, one page for each role and module, from argument_specs and DOCUMENTATION; with --check it tells whether the pages are as they should be.
set -euo pipefail
cd "$(dirname "$0")/.."

pages=docs/reference
if [[ ${1:-} == --check ]]; then
    pages=$(mktemp -d)
    trap 'rm -rf "$pages"' EXIT
fi
mkdir -p "$pages"
export ANSIBLE_CONFIG=$PWD/ansible.cfg
antsibull-docs collection-plugins --use-current --output-format simplified-rst --no-add-antsibull-docs-version --fail-on-error \
    --cleanup everything --dest-dir "$pages" ascend_ops.vllm
if [[ ${1:-} == --check ]] && ! diff --recursive --brief docs/reference "$pages"; then
    echo "docs/reference is not what argument_specs and DOCUMENTATION say: run make docs" >&2
    exit 1
fi
