#!/bin/sh
# Brings what the tests of the deployment's files check them with: nginx, docker compose, systemd-analyze. Where we may
# not install, or something cannot be had, the tests that need it say so and are skipped.
set -eu
cd "$(dirname "$0")/.."
folder=.venv/tools

have() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1; }
have_compose() { docker compose version >/dev/null 2>&1 || "$folder/docker-compose" version >/dev/null 2>&1; }
say() { printf '%s\n' "$*" >&2; }

packages=
have nginx || packages="$packages nginx-light"
have systemd-analyze || packages="$packages systemd"
if [ -z "$packages" ] && have_compose; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! have apt-get; then
    say "not root, or no apt-get: checks of the deployment's files that need more than is here are skipped"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBIAN_FRONTEND=noninteractive
# Nothing that is installed here shall start.
printf '#!/bin/sh\nexit 101\n' >"$work/policy"
[ -e /usr/sbin/policy-rc.d ] || { install -m 755 "$work/policy" /usr/sbin/policy-rc.d && trap 'rm -rf "$work" /usr/sbin/policy-rc.d' EXIT; }
apt-get update -qq </dev/null >"$work/log" 2>&1 || say "apt-get update failed"
for package in $packages; do
    say "installing $package to check the deployment's files"
    apt-get install -qq -y --no-install-recommends "$package" </dev/null >"$work/log" 2>&1 || say "no $package: $(tail -n 1 "$work/log")"
done

# Compose 2 is one program in one package; where this distribution's is older, the package of the next one does.
compose() {
    rm -f "$work"/*.deb
    (cd "$work" && apt-get download -qq "$@" >"$work/log" 2>&1) || return 1
    dpkg -x "$work"/*.deb "$work/compose"
    found=$(find "$work/compose" -type f -name docker-compose -path '*cli-plugins*' | head -n 1)
    [ -n "$found" ] || return 1
    mkdir -p "$folder" && install -m 755 "$found" "$folder/docker-compose"
}
later() {
    mirror=$(grep -rhE '^(URIs:|deb )' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
        grep -oE 'https?://[^ ]+/debian/?' | head -n 1)
    [ -n "$mirror" ] || return 1
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
    printf 'Dir::Etc::sourcelist "%s";\nDir::Etc::sourceparts "-";\nDir::State::lists "%s";\nDir::Cache::archives "%s";\n' \
        "$work/sources.list" "$work/lists" "$work/archives" >"$work/apt.conf"
    printf 'APT::Sandbox::User "root";\nAcquire::Languages "none";\n' >>"$work/apt.conf"
    APT_CONFIG=$work/apt.conf
    export APT_CONFIG
    apt-get update -qq </dev/null >"$work/log" 2>&1 && compose docker-compose
}
have_compose || compose docker-compose-v2 2>/dev/null || compose docker-compose 2>/dev/null || later ||
    say "no docker compose: its check of the compose files is skipped"
