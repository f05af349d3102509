#!/bin/sh
# Writes the files that docker-compose.yml hands out as secrets, each to the processes that need it only.
#   sh deploy/secrets.sh           asks for the bot token
#   sh deploy/secrets.sh <file     reads it from there
# Run again for another token; a webhook secret and a database address that are there stay.
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
write() {
    rm -f "$folder/$1"
    cat >"$folder/$1"
    chmod 444 "$folder/$1"
}
printf '%s' "$token" | write bot_token
# https://core.telegram.org/bots/webapps: whoever holds this can check (and forge) logins, but not use the bot.
printf '%s' "$token" | openssl dgst -sha256 -hmac WebAppData | sed 's/.*= *//' | write webapp_key
[ -e "$folder/webhook_secret" ] || openssl rand -hex 32 | write webhook_secret
[ -e "$folder/database_url" ] || echo 'sqlite+aiosqlite:////data/mini-apps.sqlite' | write database_url
echo "wrote bot_token, webapp_key, webhook_secret and database_url to $folder/"
