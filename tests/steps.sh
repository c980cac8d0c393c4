#!/usr/bin/env bash
# Runs lanes side by side. Each argument is a lane: names of steps, of which `make STEP` is run one after the other. The last lane gets little more
# than the processor time that the others leave. The output of a step is printed as a whole when the step has ended.
# After a failure no lane begins another step. Ends with a summary.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
touch "$work/failed"

# Prints a control group whose processes have a small share of the processor, or nothing where none can be made. `nice` is not enough: the kernel
# gives each session the same share, and each worker of Ansible is a session.
background_group() {
    local root weight group
    while read -r root weight; do
        group=$root/ascend-ops-test-$$
        mkdir "$group" 2>/dev/null || continue
        if [[ -w $group/${weight%=*} ]]; then
            echo "${weight#*=}" >"$group/${weight%=*}"
            echo "$group"
            return
        fi
        rmdir "$group"
    done <<<"/sys/fs/cgroup/cpu cpu.shares=200
/sys/fs/cgroup cpu.weight=20"
}
background=$(background_group)

finish() {
    for lane in $(jobs -rp); do
        kill -INT -- "-$lane"
    done
    wait
    [[ ! -e $work/lab-up.log ]] || make --no-print-directory lab-down
    [[ -z $background ]] || rmdir "$background" || echo "make test: a process of a step still runs: $(<"$background/cgroup.procs")" >&2
    rm -rf "$work"
}
trap finish EXIT

run_lane() { # STEP...
    local step begin code result
    # A step's own: what it makes daemons do is left out.
    local TIMEFORMAT='%U %S'
    for step in "$@"; do
        [[ ! -s $work/failed ]] || break
        echo "=== make $step has begun ($(date +%T))"
        begin=$SECONDS
        code=0
        { time make --no-print-directory "$step" >"$work/$step.log" 2>&1 </dev/null; } 2>"$work/$step.time" || code=$?
        [[ $code -eq 0 ]] || echo "$step" >>"$work/failed"
        # pytest's closing line, where the step had one.
        result=$(grep -E '^=+ .*(passed|failed|error).* in [0-9.]+s.* =+$' "$work/$step.log" | tail -n 1 || true)
        printf '%-10s %4d s, %4.0f s of processor time  %s\n' "$step" $((SECONDS - begin)) "$(awk '{ print $1 + $2 }' "$work/$step.time")" "$result" >"$work/$step.summary"
        flock "$work" sh -c 'echo "=== make $1, exit code $2"; cat "$3"' sh "$step" "$code" "$work/$step.log"
    done
}

set -m # each lane is a process group, to be ended as a whole
for lane in "$@"; do
    read -ra steps <<<"$lane"
    (
        if [[ $lane == "${*: -1}" ]]; then
            [[ -z $background ]] || echo "$BASHPID" >"$background/cgroup.procs"
            renice -n 10 "$BASHPID" >/dev/null
        fi
        run_lane "${steps[@]}"
    ) &
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
