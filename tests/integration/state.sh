#!/usr/bin/env bash
# Lists what the collection may change on a host: images, containers with the time of their start, and files under /opt/data.
set -euo pipefail
docker image ls --all --no-trunc --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}} {{.ID}} {{.CreatedAt}}' | sort
docker ps --all --quiet | xargs --no-run-if-empty docker inspect --format '{{.Name}} {{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}}'
[[ ! -e /opt/data ]] || find /opt/data -printf '%p %s %T@\n' | sort
