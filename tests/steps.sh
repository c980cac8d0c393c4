#!/usr/bin/env bash
# Runs `make STEP` for each STEP given, announced and timed; stops at the first that fails, and always ends with a summary.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
lab=down
finish() {
    rm -f "$log"
    [[ -z $(jobs -rp) ]] || kill -- "-$build"
    [[ $lab == down ]] || make --no-print-directory lab-down
}
trap finish EXIT

# Most of the time that the lab's parts take on a new machine is spent on waiting for the network: they are built beside the first steps, which do
# without them. The first step that needs them waits for the rest, and tells what went wrong.
if [[ " $* " == *" lab-up "* ]]; then
    set -m # a process group of its own, to be ended as a whole
    tests/lab/lab build </dev/null >/dev/null 2>&1 &
    build=$!
    set +m
fi

summary=()
passed=0
failed=0

for step in "$@"; do
    echo "=== make $step ($(date +%T))"
    begin=$SECONDS
    make --no-print-directory "$step" 2>&1 | tee "$log" || failed=1
    # pytest's closing line, where the step had one.
    result=$(grep -E '^=+ .*(passed|failed|error).* in [0-9.]+s.* =+$' "$log" | tail -n 1 || true)
    summary+=("$(printf '%-9s %4d s  %s' "$step" $((SECONDS - begin)) "$result")")
    [[ $step != lab-up ]] || lab=up
    [[ $failed -eq 0 ]] || break
    passed=$((passed + 1))
done

echo "=== make test, $SECONDS s"
printf '%s\n' "${summary[@]}"
if [[ $failed -ne 0 ]]; then
    echo "make test: step $step failed; run it alone with: make $step" >&2
fi
echo "steps: $passed passed, $failed failed, $(($# - passed - failed)) skipped"
exit "$failed"
