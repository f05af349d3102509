"""The HTTP edge: pages, the browser client, `negotiate`, Telegram's webhook. Stateless; it never loads an App class."""
