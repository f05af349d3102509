"""The app of the chaos run: rooms with history for the page, and a bot that answers each message once."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from bench.churn.app import Churn
from mini_apps import OutcomeUnknown


class Chaos(Churn):
    """Writes `began`, `ended` and `unknown` with the monotonic clock in ns, the chat and the number in its text."""

    def __init__(self, settings: Any, name: str | None = None) -> None:
        super().__init__(settings, name)
        path = Path(self.settings.get("diary")) / f"{os.getpid()}-{time.monotonic_ns()}.txt"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def on_telegram_message(self, event: Any) -> Any:
        chat, number = event.chat.id, int(event.text)
        self._write("began", chat, number)
        await asyncio.sleep((chat * 7 + number * 13) % 20 / 1000)  # some are under way at any time
        try:
            await event.answer(str(number))
        except OutcomeUnknown:
            self._write("unknown", chat, number)
        self._write("ended", chat, number)

    def _write(self, what: str, chat: int, number: int) -> None:
        os.write(self._file, f"{what} {time.monotonic_ns()} {chat} {number}\n".encode())
