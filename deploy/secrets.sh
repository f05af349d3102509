#!/bin/sh
# Writes the files that docker-compose.yml hands out as secrets, each to the processes that need it only.
#   sh deploy/secrets.sh           asks for the bot token
#   sh deploy/secrets.sh <file     reads it from there
# Run again for another token; the other secrets stay as they are.
set -eu
cd "$(dirname "$0")/.."
folder=${SECRETS:-secrets}

command -v openssl >/dev/null || {
    echo "openssl is needed to derive the WebSocket nodes' key: install it and run this again." >&2
    exit 1
}
if [ -t 0 ]; then
    printf 'Bot token from @BotFather (not shown): ' >&2
    trap 'stty echo' EXIT
    stty -echo
    read -r token
    stty echo
    echo >&2
else
    read -r token
fi
case $token in
[0-9]*:?*) ;;
*)
    echo "This is no bot token: it looks like 123456789:AAE…; nothing was written." >&2
    exit 1
    ;;
esac

# The folder keeps other users of this machine out; the files are readable because the processes in the containers,
# who get each file mounted alone, are another user.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
# They are written in place: a container goes on seeing a file that was replaced as it was, and processes take a new
# token from a changed file without a restart.
write() {
    [ ! -e "$folder/$1" ] || chmod 644 "$folder/$1"
    cat >"$folder/$1"
    chmod 444 "$folder/$1"
}
printf '%s' "$token" | write bot_token
# https://core.telegram.org/bots/webapps: whoever holds this can check (and forge) logins, but not use the bot.
printf '%s' "$token" | openssl dgst -sha256 -hmac WebAppData | sed 's/.*= *//' | write webapp_key
[ -e "$folder/webhook_secret" ] || openssl rand -hex 32 | write webhook_secret
[ -e "$folder/session_keys" ] || openssl rand -hex 32 | write session_keys
# PostgreSQL takes its password at its first start only, hence both stay once they are there.
[ -e "$folder/database_password" ] || openssl rand -hex 24 | tr -d '\n' | write database_password
[ -e "$folder/database_url" ] ||
    echo "postgresql+asyncpg://mini_apps:$(cat "$folder/database_password")@postgres/mini_apps" | write database_url
[ -e "$folder/grafana_password" ] || openssl rand -hex 12 | tr -d '\n' | write grafana_password
echo "wrote bot_token and webapp_key, and what was not there yet of webhook_secret, session_keys," \
    "database_password, database_url and grafana_password, to $folder/"
