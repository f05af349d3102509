"""Runs of the bot against the local Telegram: the rate limit used and kept, a broadcast that reaches everybody once."""
