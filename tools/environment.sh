#!/bin/sh
# Makes .venv with the project in it, or leaves it alone when nothing changed.
#   sh tools/environment.sh run     what the project needs to run
#   sh tools/environment.sh test    the same, and what its tests need
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-run}
python=.venv/bin/python
stamp=.venv/installed

say() { printf '%s\n' "$*" >&2; }

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.13 python3.12 python3.11
    fi
    for name in "$@"; do
        if fits "$name"; then
            command -v "$name"
            return
        fi
    done
    if command -v "$1" >/dev/null; then
        say "Python 3.11 or newer is needed; $1 is $("$1" --version 2>&1)."
    else
        say "Python 3.11 or newer is needed; there is no $1."
    fi
    say "Install one (Debian 12 and newer: sudo apt-get install python3-venv) or name it: make run PYTHON=/path/to/python3"
    exit 1
}

make_venv() {
    base=$(find_python)
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        say "This Python cannot make environments. Run this, then make again:"
        say "  sudo apt-get install python3-venv"
        exit 1
    fi
    say "making .venv with $("$base" --version) ($base)"
    "$base" -m venv --clear .venv
}

# What was installed: the place too, because an environment that was moved no longer finds the project.
fingerprint() {
    { pwd; cat pyproject.toml constraints.txt; } | cksum
}

now=$(fingerprint)
if [ -f "$stamp" ] && fits "$python"; then
    read -r had extras <"$stamp" || true
    if [ "$had" = "$(printf '%s' "$now" | tr ' ' '-')" ]; then
        case "$wanted,$extras" in run,* | test,test) exit 0 ;; esac
    fi
fi

if ! fits "$python" || ! "$python" -m pip --version >/dev/null 2>&1; then
    make_venv
fi
rm -f "$stamp"
case "$wanted" in
test) what='.[test,postgres]' ;;
*) what='.' ;;
esac
say "installing the project and what it needs into .venv (once; about a minute)"
"$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e "$what"
printf '%s %s\n' "$(printf '%s' "$now" | tr ' ' '-')" "$wanted" >"$stamp"
