#!/bin/sh
# Replaces the containers of services one after the other by ones of the current image: each new one is ready before an
# old one drains, so somebody always serves.
#   docker compose build && sh deploy/roll.sh bot_worker ws_server gateway
set -eu
cd "$(dirname "$0")/.."
for service in "$@"; do
    old=$(docker compose ps -q "$service")
    count=$(printf '%s\n' "$old" | grep -c .)
    docker compose up -d --no-deps --no-recreate --wait --scale "$service=$((count * 2))" "$service"
    for container in $old; do
        docker stop --time 35 "$container" >/dev/null
        docker rm "$container" >/dev/null
    done
    echo "$service: $count replaced"
done
