"""The app of the tests of `notify`, payments and web app queries; each way in does what the message says."""

import asyncio
import os
import signal
from typing import Any

from mini_apps import App, Client, Notice, Payment


class Reach(App):
    """Notifies and sells."""

    @App.bot_command
    async def notify_(self, args: str, event: Any) -> None:
        """Notify: USER ID TEXT."""
        user, id_, text = args.split(" ", 2)
        await self._note(int(user), text, "" if id_ == "-" else id_)
        if text.startswith("stumble") and await self.redis.incr(self.key("stumbles")) == 1:
            raise RuntimeError("the hook fails after its notice")
        if text.startswith("die") and await self.redis.incr(self.key("deaths")) == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Say hello."""
        return event.answer("hello")

    @App.bot_command
    async def sell(self, args: str, event: Any) -> Any:
        """Make a link: PAYLOAD."""
        return event.answer(await self.invoice_link("A hat", "For your player", args, 50))

    async def on_pre_checkout(self, query: Any) -> bool | str:
        match query.invoice_payload:
            case "sold-out":
                return "Sold out"
            case "broken":
                raise RuntimeError("no stock list")
            case "slow":
                await asyncio.Event().wait()
            case "banned":
                return False
        return True

    async def on_payment(self, payment: Payment) -> None:
        tries = await self.redis.incr(self.key(f"tries:{payment.charge_id}"))
        if payment.payload == "stumble" and tries == 1:
            raise RuntimeError("the first delivery fails")
        await self.redis.rpush(self.key("delivered"), f"{payment.telegram_id}:{payment.payload}:{payment.amount}")

    async def on_refund(self, payment: Payment) -> None:
        await self.redis.rpush(self.key("taken-back"), f"{payment.payload}:{payment.refunded_at is not None}")

    async def on_telegram_message(self, event: Any) -> None:
        if event.successful_payment is not None:
            seen = await self.redis.incr(self.key("seen"))
            if event.successful_payment.invoice_payload == "twice" and seen == 1:
                raise RuntimeError("the hook for messages fails")

    async def on_telegram_exception(self, exception: Exception) -> bool:
        await self.redis.rpush(self.key("failures"), str(exception) or type(exception).__name__)
        return False

    async def _note(self, user: int, text: str, id_: str) -> str:
        button = "Open" if text == "button" else ""
        # A hook may run 20 s, so one that waits for a page although nobody is there does not come to its end.
        wait = 0.5 if text.startswith("hurry") else 60.0 if text.startswith("at once") else 15.0
        try:
            way: str = await self.notify(user, text, options_=Notice(id=id_, button=button, wait=wait), n=1)
        except ValueError as error:
            way = f"refused: {error}"
        await self.redis.rpush(self.key("ways"), way)
        return way

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        match type:
            case "echo":
                return data.get("value")
            case "notify":
                if data.get("hasty"):
                    self.telegram.session.timeout = 1.0
                return await self._note(data["user"], data["text"], data.get("key", ""))
            case "write":
                await self.telegram.send_message(data["user"], data["text"])
            case "sell":
                return await self.invoice_link("A hat", "For your player", data["payload"], 50)
            case "answer":
                return await client.answer_query(data["result"])
            case "prepare":
                return await client.prepare_message(data["result"])
            case "button":
                await client.set_menu_button(data["text"], data.get("url", ""))
        return None


class Idle(App):
    """Has no code for payments."""

    @App.bot_command
    async def sell(self, args: str, event: Any) -> Any:
        """Make a link: PAYLOAD."""
        return event.answer(await self.invoice_link("A hat", "For your player", args, 50))


class Routed(Idle):
    """Answers checkouts in aiogram's way."""

    def setup_router(self, router: Any) -> None:
        @router.pre_checkout_query()
        async def refuse(query: Any) -> Any:
            return query.answer(ok=False, error_message="By the router")
