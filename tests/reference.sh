#!/usr/bin/env bash
# Generates docs/reference from argument_specs, DOCUMENTATION and the table of log signatures, and fails if antsibull-docs has anything to say about them.
set -euo pipefail
cd "$(dirname "$0")/.."

export ANSIBLE_CONFIG=$PWD/ansible.cfg
mkdir -p docs/reference
chmod go-w docs/reference # antsibull-docs refuses a directory that others can write to
output=$(antsibull-docs collection --use-current --squash-hierarchy --no-add-antsibull-docs-version --fail-on-error \
    --cleanup everything --dest-dir docs/reference ascend_ops.vllm 2>&1) || { echo "$output" >&2 && exit 1; }
[[ -z $output ]] || { echo "$output" >&2 && exit 1; }
export PYTHONPATH=collections:tests/support
python tests/signatures_page.py >docs/reference/signatures.md
python tests/signatures_page.py zh-CN >docs/reference/signatures.zh-CN.md
