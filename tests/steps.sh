#!/usr/bin/env bash
# Runs lanes side by side. Each argument is a lane: names of steps, of which `make STEP` is run one after the other. The first lane decides how long
# all takes, so the others get the processor time that it leaves. The output of a step is printed as a whole when the step has ended. After a failure
# no lane begins another step. Ends with a summary.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
touch "$work/failed"
finish() {
    for lane in $(jobs -rp); do
        kill -INT -- "-$lane"
    done
    wait
    [[ ! -e $work/lab-up.log ]] || make --no-print-directory lab-down
    rm -rf "$work"
}
trap finish EXIT

run_lane() { # PRIORITY STEP...
    local priority=$1 step begin code result
    for step in "${@:2}"; do
        [[ ! -s $work/failed ]] || break
        echo "=== make $step has begun ($(date +%T))"
        begin=$SECONDS
        code=0
        nice -n "$priority" make --no-print-directory "$step" >"$work/$step.log" 2>&1 </dev/null || code=$?
        [[ $code -eq 0 ]] || echo "$step" >>"$work/failed"
        # pytest's closing line, where the step had one.
        result=$(grep -E '^=+ .*(passed|failed|error).* in [0-9.]+s.* =+$' "$work/$step.log" | tail -n 1 || true)
        printf '%-10s %4d s  %s\n' "$step" $((SECONDS - begin)) "$result" >"$work/$step.summary"
        flock "$work" sh -c 'echo "=== make $1, exit code $2"; cat "$3"' sh "$step" "$code" "$work/$step.log"
    done
}

set -m # each lane is a process group, to be ended as a whole
priority=0
for lane in "$@"; do
    read -ra steps <<<"$lane"
    run_lane "$priority" "${steps[@]}" &
    priority=10
done
wait

echo "=== make test, $SECONDS s"
for step in $*; do
    [[ ! -e $work/$step.summary ]] || cat "$work/$step.summary"
done
while read -r step; do
    echo "make test: step $step failed; run it alone with: make $step" >&2
done <"$work/failed"
run=$(find "$work" -name '*.summary' | wc -l)
failed=$(wc -l <"$work/failed")
echo "steps: $((run - failed)) passed, $failed failed, $(($(wc -w <<<"$*") - run)) skipped"
[[ $failed -eq 0 ]]
