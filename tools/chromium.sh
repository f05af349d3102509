#!/bin/sh
# Brings the Chromium that the browser tests drive, when it is missing and we may install it.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

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
        if { $as_root apt-get update -qq && $as_root apt-get install -qq -y --no-install-recommends chromium; } \
            </dev/null >/tmp/mini-apps-apt.$$ 2>&1; then
            rm -f "/tmp/mini-apps-apt.$$"
            exit 0
        fi
        tail -n 3 "/tmp/mini-apps-apt.$$" >&2
        rm -f "/tmp/mini-apps-apt.$$"
    fi
fi

if [ -n "${CI:-}" ]; then
    echo "Chromium is missing and could not be installed; the browser tests need it here" >&2
    exit 1
fi
echo "There is no Chromium: the browser tests are skipped. To have them: sudo apt-get install chromium" >&2
