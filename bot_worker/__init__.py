"""The bot worker: takes Telegram's updates in and out of the lanes, runs the bot hooks, makes every Bot API call."""
