#!/bin/sh
# Prints where promtool is, which checks what deploy/prometheus holds; installs it when it is missing and we may.
set -eu

if command -v promtool; then
    exit 0
fi

if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        as_root=no
    fi
    if [ "$as_root" != no ]; then
        echo "installing Prometheus for its promtool" >&2
        export DEBIAN_FRONTEND=noninteractive
        log=$(mktemp)
        trap 'rm -f "$log"' EXIT
        # Its server would listen on 9090 from then on: packages start their services only where policy-rc.d lets them.
        if { $as_root apt-get update -qq && $as_root env RUNLEVEL=1 apt-get install -qq -y --no-install-recommends prometheus; } \
            </dev/null >"$log" 2>&1; then
            command -v promtool
            exit 0
        fi
        tail -n 3 "$log" >&2
    fi
fi

echo "There is no promtool: the tests of the alert rules are skipped. To have them: sudo apt-get install prometheus" >&2
