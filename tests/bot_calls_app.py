"""Apps that call Telegram in hooks that fail; what happened shows in Redis."""

import hashlib
import os
import signal
from typing import Any

from mini_apps import App, OutcomeUnknown


class Forgetful(App):
    """Does what the message says, and fails as often as it says."""

    async def on_telegram_message(self, event: Any) -> Any:
        tries = await self.redis.incr(self.key(f"tries:{event.text}"))
        word, _, fails = event.text.partition(" ")
        if word == "twice":
            await event.answer("one")
            await event.answer("one")
        if word == "skip" and tries == 1:
            await event.answer("only the first time")
        if word == "careless":
            await event.answer("nobody knows")
        if word == "ask":
            await self.redis.rpush(self.key("asked"), (await self.telegram.get_me()).id)
        try:
            sent = await event.answer(f"re: {event.text}")
            await self.redis.rpush(self.key("sent"), sent.message_id)
        except OutcomeUnknown:
            await self.redis.rpush(self.key("unknown"), event.text)
        if word == "die" and tries == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if tries <= int(fails or 0):
            raise RuntimeError("as asked")


class Filing(App):
    """Sends a file, fails, sends it again, and fetches it."""

    async def on_telegram_message(self, event: Any) -> Any:
        from aiogram.types import BufferedInputFile

        tries = await self.redis.incr(self.key("tries"))
        sent = await event.answer_document(BufferedInputFile(b"from a hook" * 50_000, "hook.txt"))
        if tries == 1:
            raise RuntimeError("as asked")
        content = await self.telegram.download(sent.document)
        await self.redis.rpush(self.key("got"), hashlib.sha256(content.read()).hexdigest())


class Paged(App):
    """Calls Telegram for a page."""

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        sent = await self.telegram.send_message(data.get("to", client.user.telegram_id), data["text"])
        return {"id": sent.message_id, "entities": len(sent.entities or ()), "class": sent.__class__.__name__}


class Reporting(App):
    """Calls Telegram from its server tasks."""

    def server_tasks(self) -> list[Any]:
        return [self.report]

    async def report(self) -> None:
        me = await self.telegram.get_me()
        await self.redis.rpush(self.key("reported"), f"{os.getpid()}:{me.id}:{self.telegram.token}")
