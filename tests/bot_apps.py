"""Apps that the bot worker's tests run; what happens in them shows in Redis."""

import asyncio
import contextlib
import os
import signal
from typing import Any

from mini_apps import App


class Recorder(App):
    """Writes down each message its hook got, and misbehaves when the message says so."""

    async def on_telegram_message(self, event: Any) -> Any:
        text = event.text
        await self.redis.rpush(self.key("tried"), f"{event.chat.id}:{text}:{os.getpid()}")
        if text.startswith("boom"):
            raise RuntimeError(f"cannot digest {text}, says https://api.telegram.org/bot{self.telegram.token}/x")
        if text.startswith("hang"):
            await asyncio.Event().wait()
        if text.startswith("exit"):
            raise SystemExit(3)
        if text.startswith("cancel"):
            task = asyncio.create_task(asyncio.sleep(60))
            task.cancel()
            await task
        if text.startswith("deaf"):
            await self._listen_to_nobody()
        if text.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if text.startswith("slow"):
            await asyncio.sleep(0.02)
        if text.startswith("wait"):
            await self.redis.blpop([self.key("go")], timeout=4)
        await self.redis.rpush(self.key("done"), f"{event.chat.id}:{text}")
        if text.startswith("echo"):
            return event.answer(text)
        return None

    async def _listen_to_nobody(self) -> None:
        while not await self.redis.exists(self.key("listen")):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    async def on_telegram_exception(self, exception: Exception) -> Any:
        await self.redis.incr(self.key("exceptions"))
        return "forgiven" in str(exception)

    async def on_telegram_connected(self) -> None:
        await self.redis.incr(self.key("connected"))

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Say hello"""
        return event.answer(f"hello <b>{event.from_user.first_name}</b> {args}")


class Routed(Recorder):
    """Uses aiogram's router with a conversation state, and another kind of update."""

    def setup_router(self, router: Any) -> None:
        from aiogram import F
        from aiogram.fsm.state import State, StatesGroup

        class Form(StatesGroup):
            name = State()

        @router.message(F.text == "form")
        async def ask(message: Any, state: Any, app: Any) -> Any:
            await state.set_state(Form.name)
            return message.answer(f"your name, please ({app.name})")

        @router.message(Form.name)
        async def answer(message: Any, state: Any) -> Any:
            await state.clear()
            return message.answer(f"nice name, {message.text}")

        @router.edited_message()
        async def edited(message: Any) -> None:
            await self.redis.rpush(self.key("done"), f"edited:{message.text}")
            if message.text == "boom":
                raise RuntimeError("edited into a bomb")


class Shop(Recorder):
    """Answers whoever is about to pay; `fail` in the payload fails, `hang` hangs."""

    def setup_router(self, router: Any) -> None:
        @router.pre_checkout_query()
        async def approve(query: Any) -> None:
            await self.redis.rpush(self.key("checkouts"), query.invoice_payload)
            if query.invoice_payload == "fail":
                raise RuntimeError("the till is closed")
            if query.invoice_payload == "hang":
                await asyncio.Event().wait()


class Tasked(App):
    """Runs server tasks, one of which fails once."""

    def server_tasks(self) -> list[Any]:
        return [self.count, self.stumble]

    async def count(self) -> None:
        await self.redis.rpush(self.key("runs"), f"{os.getpid()}:{self.fence}")
        await asyncio.Event().wait()

    async def stumble(self) -> None:
        if await self.redis.incr(self.key("stumbles")) == 1:
            raise RuntimeError("the first time fails")


class Stubborn(App):
    """Overrides `run_bot` without calling the base class."""

    async def run_bot(self) -> None:
        return


class Shaky(App):
    """Its bot ends in every way an author can think of, then runs."""

    async def run_bot(self) -> None:
        match await self.redis.incr(self.key("runs")):
            case 1:
                raise RuntimeError("not yet")
            case 2:
                raise SystemExit(3)
            case 3:
                task = asyncio.create_task(asyncio.sleep(60))
                task.cancel()
                await task
        await super().run_bot()
