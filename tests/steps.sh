#!/usr/bin/env bash
# Runs `make STEP` for each STEP given, announced and timed; stops at the first that fails, and always ends with a summary.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
summary=()
status=0

for step in "$@"; do
    echo "=== make $step ($(date +%T))"
    begin=$SECONDS
    make --no-print-directory "$step" 2>&1 | tee "$log" || status=$?
    # pytest's closing line, where the step had one.
    result=$(grep -E '^=+ .*(passed|failed|error).* in [0-9.]+s.* =+$' "$log" | tail -n 1 || true)
    summary+=("$(printf '%-9s %4d s  %s' "$step" $((SECONDS - begin)) "$result")")
    [[ $status -eq 0 ]] || break
done

echo "=== make test"
printf '%s\n' "${summary[@]}"
if [[ $status -ne 0 ]]; then
    echo "make test: FAILED in step $step after $SECONDS s; run it alone with: make $step" >&2
    exit "$status"
fi
echo "make test: all $# steps passed in $SECONDS s"
