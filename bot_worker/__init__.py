"""The bot worker: takes Telegram's updates in and out of the lanes, runs the bot hooks, makes every Bot API call."""

import mini_apps  # noqa: F401 - it has to come before aiogram, whose import it makes quick
