"""The apps of the measurements: one handler that does nothing, as a hook and in the router."""

import time
from pathlib import Path
from typing import Any

from mini_apps import App

UNMEASURED = 2_000  # updates at the start


class Counting(App):
    """Notes CPU time and clock when enough updates are done, then whenever a thousand more are."""

    done = 0

    def count(self) -> None:
        self.done += 1
        if self.done >= UNMEASURED and self.done % 1_000 == 0:
            note = f"{self.done} {time.process_time()} {time.monotonic()}\n"
            path = Path(self.settings.get("notes"))
            with path.open("a") as file:
                file.write(note)


class Hook(Counting):
    async def on_telegram_message(self, event: Any) -> Any:
        self.count()


class Routed(Counting):
    def setup_router(self, router: Any) -> None:
        async def handler(message: Any) -> None:  # noqa: ARG001 - as aiogram calls it
            self.count()

        router.message.register(handler)
