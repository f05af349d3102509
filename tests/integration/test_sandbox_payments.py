"""Payments, prepared messages and asking to write in the sandbox, through a real aiogram bot."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InputTextMessageContent,
    LabeledPrice,
    Update,
)

from sandbox_desk import ADA, BEN, Desk, desk

STARS: dict[str, Any] = {
    "title": "A hat",
    "description": "For your player",
    "payload": "hat-7",
    "currency": "XTR",
    "prices": [LabeledPrice(label="Hat", amount=50)],
}
ARTICLE = InlineQueryResultArticle(
    id="1", title="Won", input_message_content=InputTextMessageContent(message_text="I won!")
)


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


Table = tuple[Desk, Bot, Clock]


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    clock = Clock()
    async with desk(clock=clock) as running, running.bot() as bot:
        await running.act(ADA, "messages", text="/start")
        await updates(bot)
        yield running, bot, clock


async def updates(bot: Bot) -> list[Update]:
    """Fetch and confirm what waits."""
    found = await bot.get_updates()
    if found:
        await bot.get_updates(offset=found[-1].update_id + 1)
    return found


def slug(link: str) -> str:
    assert link.startswith("https://t.me/$")
    return link.removeprefix("https://t.me/$")


async def test_a_link_is_paid(table: Table) -> None:
    running, bot, _ = table
    link = await bot.create_invoice_link(**STARS)
    shown = await running.act(ADA, "invoice", slug=slug(link))
    assert (shown["title"], shown["total_amount"], shown["currency"]) == ("A hat", 50, "XTR")
    async with running.events() as events:
        asked = await running.act(ADA, "pay", slug=slug(link))
        (update,) = await updates(bot)
        query = update.pre_checkout_query
        assert query is not None
        assert (query.id, query.from_user.id, query.total_amount) == (asked["query_id"], ADA, 50)
        assert (query.currency, query.invoice_payload) == ("XTR", "hat-7")
        assert await bot.answer_pre_checkout_query(query.id, ok=True)
        seen = [await anext(events) for _ in range(2)]
        assert [kind for kind, _ in seen] == ["message", "checkout"]
        assert seen[1][1]["status"] == "paid"
    (update,) = await updates(bot)
    assert update.message is not None
    paid = update.message.successful_payment
    assert paid is not None
    assert (paid.currency, paid.total_amount, paid.invoice_payload) == ("XTR", 50, "hat-7")
    assert paid.telegram_payment_charge_id
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_pre_checkout_query(query.id, ok=True)
    again = await running.act(BEN, "pay", slug=slug(link))  # a link can be paid by anybody, as often as they like
    assert again["query_id"] != query.id


async def test_a_refusal_charges_nothing(table: Table) -> None:
    running, bot, _ = table
    link = await bot.create_invoice_link(**STARS)
    async with running.events() as events:
        asked = await running.act(ADA, "pay", slug=slug(link))
        with pytest.raises(TelegramBadRequest, match="error_message"):
            await bot.answer_pre_checkout_query(asked["query_id"], ok=False)
        await bot.answer_pre_checkout_query(asked["query_id"], ok=False, error_message="Sold out")
        kind, data = await anext(events)
        assert (kind, data["status"], data["error"]) == ("checkout", "failed", "Sold out")
    assert [update.event_type for update in await updates(bot)] == ["pre_checkout_query"]


async def test_after_ten_seconds_it_is_too_late(table: Table) -> None:
    running, bot, clock = table
    link = await bot.create_invoice_link(**STARS)
    asked = await running.act(ADA, "pay", slug=slug(link))
    clock.now += 11
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_pre_checkout_query(asked["query_id"], ok=True)


async def test_an_invoice_in_a_message(table: Table) -> None:
    running, bot, _ = table
    message = await bot.send_invoice(ADA, **STARS)
    assert message.invoice is not None
    assert message.invoice.total_amount == 50
    shown = (await running.chat(ADA))["messages"][-1]
    assert shown["reply_markup"]["inline_keyboard"][0][0] == {"text": "Pay ⭐️50", "pay": True}
    asked = await running.act(ADA, "pay", message_id=message.message_id)
    assert await bot.answer_pre_checkout_query(asked["query_id"], ok=True)
    own = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Other", callback_data="x")]])
    with pytest.raises(TelegramBadRequest, match="BUTTON_TYPE_INVALID"):
        await bot.send_invoice(ADA, **STARS, reply_markup=own)
    await running.act(ADA, "pay", message_id=999, expect=404)
    await running.act(ADA, "pay", slug="nothing", expect=404)


async def test_stars_go_back_once(table: Table) -> None:
    running, bot, _ = table
    link = await bot.create_invoice_link(**STARS)
    asked = await running.act(ADA, "pay", slug=slug(link))
    await bot.answer_pre_checkout_query(asked["query_id"], ok=True)
    paid = (await updates(bot))[-1].message
    assert paid is not None
    assert paid.successful_payment is not None
    charge = paid.successful_payment.telegram_payment_charge_id
    with pytest.raises(TelegramBadRequest, match="CHARGE_NOT_FOUND"):
        await bot.refund_star_payment(BEN, charge)
    assert await bot.refund_star_payment(ADA, charge)
    (update,) = await updates(bot)
    assert update.message is not None
    refunded = update.message.refunded_payment
    assert refunded is not None
    assert (refunded.telegram_payment_charge_id, refunded.total_amount) == (charge, 50)
    with pytest.raises(TelegramBadRequest, match="CHARGE_ALREADY_REFUNDED"):
        await bot.refund_star_payment(ADA, charge)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"title": ""}, "INVOICE_TITLE_INVALID"),
        ({"description": "x" * 256}, "INVOICE_DESCRIPTION_INVALID"),
        ({"payload": "x" * 129}, "INVOICE_PAYLOAD_INVALID"),
        ({"currency": "stars"}, "CURRENCY_INVALID"),
        ({"currency": "EUR"}, "PAYMENT_PROVIDER_INVALID"),
        ({"prices": []}, "prices must be non-empty"),
        ({"prices": [LabeledPrice(label="a", amount=1)] * 2}, "STARS_INVOICE_INVALID"),
        ({"prices": [LabeledPrice(label="a", amount=0)]}, "CURRENCY_TOTAL_AMOUNT_INVALID"),
    ],
)
async def test_what_is_no_invoice(table: Table, change: dict[str, Any], wanted: str) -> None:
    _, bot, _ = table
    with pytest.raises(TelegramBadRequest, match=wanted):
        await bot.create_invoice_link(**{**STARS, **change})


async def test_other_currencies_need_a_provider(table: Table) -> None:
    running, bot, _ = table
    prices = [LabeledPrice(label="Hat", amount=199), LabeledPrice(label="Tax", amount=38)]
    link = await bot.create_invoice_link(**{**STARS, "currency": "EUR", "prices": prices}, provider_token="TEST:1")
    assert (await running.act(ADA, "invoice", slug=slug(link)))["total_amount"] == 237


async def test_a_prepared_message_is_shared_once_by_its_user(table: Table) -> None:
    running, bot, clock = table
    prepared = await bot.save_prepared_inline_message(ADA, ARTICLE, allow_user_chats=True)
    assert prepared.expiration_date == clock.now + 86_400
    await running.act(BEN, "share", id=prepared.id, expect=404)
    message = await running.act(ADA, "share", id=prepared.id)
    assert (message["text"], message["via_bot"]["id"], message["from"]["id"]) == ("I won!", bot.id, ADA)
    await running.act(ADA, "share", id=prepared.id, expect=404)
    with pytest.raises(TelegramBadRequest, match="USER_ID_INVALID"):
        await bot.save_prepared_inline_message(777, ARTICLE, allow_user_chats=True)
    with pytest.raises(TelegramBadRequest, match="PEER_TYPES_INVALID"):
        await bot.save_prepared_inline_message(ADA, ARTICLE)
    late = await bot.save_prepared_inline_message(ADA, ARTICLE, allow_bot_chats=True)
    clock.now += 86_401
    await running.act(ADA, "share", id=late.id, expect=404)


async def test_a_user_who_allows_it_can_be_written_to(table: Table) -> None:
    running, bot, _ = table
    await running.act(BEN, "launch", source="menu")
    await running.act(BEN, "write_access")
    await running.act(BEN, "write_access")
    (update,) = await updates(bot)
    assert update.message is not None
    assert update.message.write_access_allowed is not None
    assert update.message.write_access_allowed.from_request
    assert (await bot.send_message(BEN, "hello")).text == "hello"
