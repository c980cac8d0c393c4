#!/usr/bin/env bash
# Cuts the SSH connections to a node of the lab: rejects new ones, and ends those that are open at their next packet.
# Arguments: the node; for how many seconds (0: for good); how many seconds from now (0: at once, before this returns).
set -euo pipefail
node=$1 seconds=$2 delay=$3
lab=$(dirname "$0")/../lab/lab
rule=(INPUT --protocol tcp --dport 22 --jump REJECT --reject-with tcp-reset)

cut() { "$lab" exec "$node" iptables --insert "${rule[@]}"; }
later() {
    if ((delay)); then sleep "$delay" && cut; fi
    if ((seconds)); then sleep "$seconds" && "$lab" exec "$node" iptables --delete "${rule[@]}"; fi
}

((delay)) || cut
later >/dev/null 2>&1 </dev/null &
