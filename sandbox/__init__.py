"""A local Telegram: a Bot API server and a web page with phones, so nobody needs a bot token to start."""
