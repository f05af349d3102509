"""People of deployments under test: what they do on their phones reaches the app, and what it answers reaches them."""

from collections.abc import Callable
from typing import Any

import pytest

from mini_apps import App
from mini_apps.testing import MiniAppTest
from mini_apps.testing.person import NotThere, Toast

Make = Callable[..., MiniAppTest]


class Shop(App):
    """Sells stars, listens, counts."""

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Open the shop."""
        from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

        names = (("Yes", "yes"), ("Quiet", "quiet"))
        row = [InlineKeyboardButton(text=text, callback_data=data) for text, data in names]
        return event.answer("Sure?", reply_markup=InlineKeyboardMarkup(inline_keyboard=[row]))

    @App.bot_command
    async def buy(self, args: str, event: Any) -> Any:
        """Buy a star."""
        from aiogram.types import LabeledPrice

        prices = [LabeledPrice(label="Star", amount=5)]
        return event.answer_invoice(
            title="A star", description="Shines", payload=args or "star", currency="XTR", prices=prices
        )

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        from aiogram.types import LabeledPrice

        prices = [LabeledPrice(label="Star", amount=7)]
        return await self.telegram.create_invoice_link(
            title="A moon", description="Shines too", payload="moon", currency="XTR", prices=prices
        )

    async def on_pre_checkout(self, query: Any) -> Any:
        return True if query.invoice_payload != "sold" else "Sold out"

    async def on_payment(self, payment: Any) -> None:
        await self.telegram.send_message(payment.telegram_id, f"Thank you for {payment.amount}")

    async def on_telegram_callback(self, event: Any) -> Any:
        if event.data == "quiet":
            return True
        await event.message.edit_text("Done")
        return event.answer("Saved", show_alert=True)

    async def on_telegram_inline(self, event: Any) -> Any:
        from aiogram.types import InlineQueryResultArticle, InputTextMessageContent

        content = InputTextMessageContent(message_text=f"Look: {event.query}")
        return event.answer([InlineQueryResultArticle(id="r1", title="Share", input_message_content=content)])

    async def on_telegram_message(self, event: Any) -> Any:
        if event.photo:
            return event.answer(f"A photo: {event.caption}")
        if event.successful_payment:
            return None
        if event.document:
            return event.answer(f"A file: {event.document.file_name}")
        return event.reply(f"{event.from_user.first_name} said {event.text}")


async def test_buttons_are_pressed_and_messages_edited(mini_app_test: Make) -> None:
    async with mini_app_test(Shop) as t:
        ada = t.user("ada")
        await ada.sends("/start")
        message = await t.bot.sent("ada", "Sure?")
        assert [button["text"] for button in message.buttons] == ["Yes", "Quiet"]
        assert await ada.presses("Quiet") is None
        assert await ada.presses("yes") == Toast("Saved", alert=True, url="")
        assert (await t.bot.sent("ada", "Done", edited=True)).id == message.id
        with pytest.raises(NotThere, match="ada sees no button 'Yes' to press; there are\n  none"):
            await ada.presses("Yes")
        assert [read.text for read in ada.reads()] == ["/start", "Done"]


async def test_inline_results_are_asked_for_and_chosen(mini_app_test: Make) -> None:
    async with mini_app_test(Shop) as t:
        results = await t.user("ada").asks_inline("hat")
        assert [result["title"] for result in results] == ["Share"]
        assert (await t.user("ada").chooses("r1")).text == "Look: hat"


async def test_invoices_are_paid_or_refused(mini_app_test: Make) -> None:
    async with mini_app_test(Shop) as t:
        ada, page = t.user("ada"), await t.open("ada")
        with pytest.raises(NotThere, match="ada sees no invoice to pay"):
            await ada.pays()
        await ada.sends("/buy")
        await t.bot.sent("ada")
        assert await ada.pays() == ""
        await page.receive("payment")
        await t.bot.sent("ada", "Thank you for 5")
        assert await ada.pays(await page.request(type="moon")) == ""
        await t.bot.sent("ada", "Thank you for 7")
        await ada.sends("/buy sold")
        await t.bot.sent("ada")
        assert await ada.pays() == "Sold out"


async def test_photos_files_and_groups(mini_app_test: Make) -> None:
    async with mini_app_test(Shop) as t:
        ada = t.user("ada")
        await ada.sends_photo(caption="me")
        await t.bot.sent("ada", "A photo: me")
        await ada.sends_file(b"hello", "hello.txt")
        await t.bot.sent("ada", "A file: hello.txt")
        group = await ada.creates_group("Friends", "ben", "carol")
        await t.user("carol").sends("/start@shop_bot", chat=group)
        sure = await t.bot.sent(group, "Sure?")
        await t.user("ben").sends("fine", chat=group, reply_to=sure)
        assert (await t.bot.sent(group, "Ben said fine")).chat == group
        assert "fine" in [message.text for message in ada.reads(group)]


async def test_who_blocked_the_bot_is_not_written_to(mini_app_test: Make) -> None:
    async with mini_app_test(Shop) as t:
        ada = t.user("ada", language_code="de")
        await ada.sends("/start")
        await t.bot.sent("ada")
        await ada.blocks()
        await t.settled()
        assert (await t.app.notify(ada.id, "Hello?")).value == "unreachable"
        await ada.unblocks()
        await t.settled()
        assert (await t.app.notify(ada.id, "Hello again")).value == "bot"
        await t.bot.sent("ada", "Hello again")
