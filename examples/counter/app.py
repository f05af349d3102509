"""A counter that everybody with the mini app open presses together."""

from typing import TYPE_CHECKING, Any

from mini_apps import App, Client

if TYPE_CHECKING:
    from aiogram.types import Message


class Counter(App):
    """Counts clicks in Redis, because each WebSocket node is a process of its own."""

    async def on_client_authenticated(self, client: Client) -> None:
        """Show the count to whoever comes in."""
        await client.send(type="clicks-updated", clicks=await self.clicks())

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        """Count a click and tell everybody, on all nodes; answer `clicks` with the count."""
        if type == "click":
            # Redis counts, so no click is lost. Two nodes may publish 7 after 8: the page keeps the larger number.
            await self.broadcast(type="clicks-updated", clicks=await self.redis.incr(self.key("clicks")))
        return await self.clicks() if type == "clicks" else None

    async def clicks(self) -> int:
        """Return how often the button was pressed so far."""
        return int(await self.redis.get(self.key("clicks")) or 0)

    @App.bot_command
    async def start(self, args: str, event: "Message") -> Any:
        """Open the counter."""
        from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, WebAppInfo  # only bot workers pay for it

        name = event.from_user.first_name if event.from_user else "stranger"
        if event.chat.type == "private" or self.telegram_me is None:
            button = InlineKeyboardButton(text="Open the counter", web_app=WebAppInfo(url=self.settings.url))
        else:  # Telegram has no such buttons in groups
            link = f"https://t.me/{self.telegram_me.username}/{self.settings.get('short-name') or self.name}"
            button = InlineKeyboardButton(text="Open the counter", url=link)
        keyboard = InlineKeyboardMarkup(inline_keyboard=[[button]])
        return event.answer(f"Hello {name}! Press it together.", reply_markup=keyboard, parse_mode=None)
