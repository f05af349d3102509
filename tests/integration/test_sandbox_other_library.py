"""A bot written with another library, python-telegram-bot, lives in the sandbox as it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sandbox_desk import ADA, BEN, TOKEN, Desk, desk
from support import eventually

telegram = pytest.importorskip(
    "telegram", reason="python-telegram-bot is not installed: pip install python-telegram-bot"
)
ext = pytest.importorskip("telegram.ext")

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "5e30d3ad0000000049454e44ae426082"
)


class ShopBot:
    """Sells a hat, says who chose what, and keeps what went wrong."""

    def __init__(self, application: Any) -> None:
        self.chosen: list[Any] = []
        self.paid: list[Any] = []
        self.joined: list[Any] = []
        self.files: list[bytes] = []
        self.errors: list[Exception] = []
        add = application.add_handler
        add(ext.CommandHandler("start", self.start))
        add(ext.CallbackQueryHandler(self.press))
        add(ext.InlineQueryHandler(self.ask))
        add(ext.ChosenInlineResultHandler(self.choose))
        add(ext.PreCheckoutQueryHandler(self.checkout))
        add(ext.ChatMemberHandler(self.membership, ext.ChatMemberHandler.MY_CHAT_MEMBER))
        add(ext.MessageHandler(ext.filters.SUCCESSFUL_PAYMENT, self.payment))
        add(ext.MessageHandler(ext.filters.Document.ALL, self.document))
        application.add_error_handler(self.failed)

    async def start(self, update: Any, context: Any) -> None:
        button = telegram.InlineKeyboardButton("Press", callback_data="pressed")
        markup = telegram.InlineKeyboardMarkup([[button]])
        await update.message.reply_text("<b>Hello</b>", parse_mode="HTML", reply_markup=markup)
        await update.message.reply_photo(PNG, caption="a picture")

    async def press(self, update: Any, context: Any) -> None:
        await update.callback_query.answer("done")
        await update.callback_query.edit_message_text("pressed")
        price = telegram.LabeledPrice("Hat", 5)
        await context.bot.send_invoice(update.effective_chat.id, "A hat", "For you", "hat", "XTR", [price])

    async def ask(self, update: Any, context: Any) -> None:
        content = telegram.InputTextMessageContent("chosen text")
        await update.inline_query.answer([telegram.InlineQueryResultArticle("1", "One", content)])

    async def choose(self, update: Any, context: Any) -> None:
        self.chosen.append(update.chosen_inline_result)

    async def checkout(self, update: Any, context: Any) -> None:
        await update.pre_checkout_query.answer(ok=True)

    async def payment(self, update: Any, context: Any) -> None:
        self.paid.append(update.message.successful_payment)

    async def membership(self, update: Any, context: Any) -> None:
        self.joined.append(update.my_chat_member)

    async def document(self, update: Any, context: Any) -> None:
        file = await update.message.document.get_file()
        self.files.append(bytes(await file.download_as_bytearray()))

    async def failed(self, update: Any, context: Any) -> None:
        self.errors.append(context.error)


@asynccontextmanager
async def shop(running: Desk) -> AsyncIterator[tuple[Any, ShopBot]]:
    """Run the bot by polling."""
    builder = ext.Application.builder().token(TOKEN)
    application = builder.base_url(f"{running.base}/bot").base_file_url(f"{running.base}/file/bot").build()
    bot = ShopBot(application)
    async with application:
        await application.start()
        await application.updater.start_polling(allowed_updates=telegram.Update.ALL_TYPES, timeout=5)
        try:
            yield application, bot
        finally:
            running.runtime.close()  # what polls ends at once
            await application.updater.stop()
            await application.stop()


async def test_python_telegram_bot_lives_here_unchanged() -> None:
    async with desk() as running, shop(running) as (application, bot):

        async def shows(text: str, chat_id: int = 0) -> Any:
            found = (await running.chat(ADA, chat_id=chat_id))["messages"]
            return next((message for message in found if text in (message.get("text"), message.get("caption"))), None)

        await running.act(ADA, "messages", text="/start")
        hello = await eventually(lambda: shows("Hello"))
        assert hello["entities"] == [{"type": "bold", "offset": 0, "length": 5}]
        await eventually(lambda: shows("a picture"))
        await running.act(ADA, "callback", message_id=hello["message_id"], data="pressed")
        await eventually(lambda: shows("pressed"))

        async def invoice() -> Any:
            found = (await running.chat(ADA))["messages"]
            return next((message["message_id"] for message in found if "invoice" in message), None)

        await running.act(ADA, "pay", message_id=await eventually(invoice))
        await eventually(lambda: bot.paid)
        assert (bot.paid[0].total_amount, bot.paid[0].invoice_payload) == (5, "hat")

        async with running.events() as events:
            asked = await running.act(ADA, "inline", query="q", offset="")
            async with asyncio.timeout(30):
                while (await anext(events))[0] != "inline_answer":
                    pass
        await running.act(ADA, "choose", query_id=asked["query_id"], result_id="1")
        await eventually(lambda: bot.chosen)

        group = (await running.act(ADA, "groups", title="Chess", members=[BEN]))["id"]
        await eventually(lambda: bot.joined)
        await running.act(BEN, "messages", chat_id=group, text="/start")
        await eventually(lambda: shows("Hello", group))
        members = await application.bot.get_chat_administrators(group)
        assert [member.status for member in members] == ["creator"]

        path = f"{running.base}/sandbox/api/bots/counter/users/{ADA}/files?kind=document&name=a.txt"
        headers = {"Content-Type": "application/octet-stream"}
        async with running.http.post(path, data=b"what Ada sent", headers=headers) as response:
            assert response.status == 200
        await eventually(lambda: bot.files)
        assert bot.files == [b"what Ada sent"]
        with pytest.raises(telegram.error.BadRequest, match="Chat not found"):
            await application.bot.send_message(7, "x")
        assert bot.errors == []
