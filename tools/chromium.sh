#!/bin/sh
# Prints where the Chromium is that the browser tests drive; installs it when it is missing and we may.
set -eu

find_chromium() {
    for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome; do
        if command -v "$name"; then
            return
        fi
    done
    return 1
}

if find_chromium; then
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
        echo "installing Chromium for the browser tests" >&2
        export DEBIAN_FRONTEND=noninteractive
        log=$(mktemp)
        trap 'rm -f "$log"' EXIT
        if { $as_root apt-get update -qq && $as_root apt-get install -qq -y --no-install-recommends chromium; } \
            </dev/null >"$log" 2>&1; then
            find_chromium
            exit 0
        fi
        tail -n 3 "$log" >&2
    fi
fi

if [ -n "${CI:-}" ]; then
    echo "Chromium is missing and could not be installed; the browser tests need it here" >&2
    exit 1
fi
echo "There is no Chromium: the browser tests are skipped. To have them: sudo apt-get install chromium" >&2
