"""Payments through a real worker: the app is asked, one row is written, pages are told, the hook delivers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiogram.types import LabeledPrice
from sqlalchemy import select

from bot_rig import message
from mini_apps import Payment, payments
from mini_apps.embedded import EmbeddedValkey
from reach_rig import Rig, reach
from sandbox_desk import ADA, BEN
from shared.broker import Broker
from shared.bus import Bus
from shared.updates import UpdateLog
from support import eventually


@pytest.fixture
async def rig(valkey: EmbeddedValkey, broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with reach(valkey, broker, tmp_path) as made:
        await made.start_bot()
        yield made


async def link(rig: Rig, payload: str) -> str:
    """Have the bot sell something, and give the slug of the link."""
    await rig.command(f"/sell {payload}")

    async def answered() -> str | None:
        return next((text for text in await rig.written() if "t.me/$" in text), None)

    return str(await eventually(answered)).partition("$")[2]


async def pay(rig: Rig, payload: str, user: int = ADA, app: Any = None) -> dict[str, Any]:
    """Buy something, and give how it ended."""
    slug = await link(rig, payload)
    async with rig.telegram.events() as events:
        query = (await rig.telegram.act(user, "pay", slug=slug))["query_id"]
        async for kind, data in events:
            if kind == "checkout" and data["query_id"] == query:
                return dict(data)
    raise AssertionError("the events ended")


async def feed_payment(rig: Rig, number: int, user: int, charge: str, **fields: Any) -> None:
    """Put a payment into the lanes, as a gateway would."""
    update = message(number, user, "")
    del update["message"]["text"]
    update["message"] |= fields
    update["message"]["successful_payment"] = {
        "currency": "XTR",
        "total_amount": 50,
        "invoice_payload": "hat",
        "telegram_payment_charge_id": charge,
        "provider_payment_charge_id": "",
    }
    async with Bus(rig.broker, f"feeder-{number}") as bus:
        await UpdateLog(rig.broker, bus, 16).append("chat", update, "webhook")


async def listed(rig: Rig, name: str, count: int = 1) -> list[str]:
    """Wait for a list that the app keeps to have so many entries."""

    async def found() -> list[str] | None:
        raw = await rig.broker.client.lrange(rig.keys.own(name), 0, -1)
        return [one.decode() for one in raw] if len(raw) >= count else None

    result: list[str] = await eventually(found, what=f"{count} of {name}")
    return result


async def rows(rig: Rig) -> list[Payment]:
    async with rig.database.session() as session:
        return list(await session.scalars(select(Payment).order_by(Payment.id)))


async def settled(rig: Rig) -> Payment | None:
    found = await rows(rig)
    return found[0] if found and found[0].settled_at else None


async def test_a_payment_is_recorded_once_delivered_and_told_to_the_page(rig: Rig) -> None:
    node = await rig.cluster.node()
    async with node.user(ADA) as page, node.user(BEN) as other:
        assert (await pay(rig, "hat-7"))["status"] == "paid"
        told = await page.receive("payment")
        assert (told["payload"], told["amount"], told["currency"], told["refunded"]) == ("hat-7", 50, "XTR", False)
        row: Payment = await eventually(lambda: settled(rig))
        assert (row.app, row.telegram_id, row.payload, row.amount) == ("chat", ADA, "hat-7", 50)
        assert row.charge_id == told["charge_id"]
        assert await listed(rig, "delivered") == [f"{ADA}:hat-7:50"]
        async with rig.telegram.bot() as bot:
            assert await bot.refund_star_payment(ADA, row.charge_id)
        back = await page.receive("payment")
        assert (back["charge_id"], back["refunded"]) == (row.charge_id, True)
        assert await listed(rig, "taken-back") == ["hat-7:True"]
        assert not [m for m in await other.settle() if m["type"] == "payment"]

    async def given_back() -> bool:
        return (await rows(rig))[0].refunded_at is not None

    await eventually(given_back)
    assert len(await rows(rig)) == 1


@pytest.mark.parametrize(
    ("payload", "words"),
    [("sold-out", "Sold out"), ("banned", payments.REFUSAL), ("broken", payments.REFUSAL), ("slow", payments.REFUSAL)],
)
async def test_a_checkout_that_is_refused_or_fails_charges_nobody(
    rig: Rig, payload: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "CHECKOUT_SECONDS", 0.3)
    answer = await pay(rig, payload)
    assert (answer["status"], answer["error"]) == ("failed", words)
    if payload in ("broken", "slow"):
        assert len(await listed(rig, "failures")) == 1
    assert await rows(rig) == []


async def test_a_banned_user_cannot_pay_but_what_was_paid_counts(rig: Rig) -> None:
    slug = await link(rig, "hat")
    await rig.broker.client.sadd(rig.keys.banned, str(BEN))
    async with rig.telegram.events() as events:
        query = (await rig.telegram.act(BEN, "pay", slug=slug))["query_id"]
        async for kind, data in events:
            if kind == "checkout" and data["query_id"] == query:
                assert (data["status"], data["error"]) == ("failed", payments.REFUSAL)
                break
    await feed_payment(rig, 900_000_000, BEN, "stx7")
    assert await listed(rig, "delivered") == [f"{BEN}:hat:50"]
    assert (await rows(rig))[0].telegram_id == BEN


async def test_who_pays_in_a_group_is_the_payer(rig: Rig) -> None:
    await feed_payment(rig, 900_000_000, BEN, "stx8", chat={"id": -5, "type": "group", "title": "G"})
    assert await listed(rig, "delivered") == [f"{BEN}:hat:50"]


async def test_a_subscription_says_until_when(rig: Rig) -> None:
    async with rig.telegram.bot() as bot:
        slug = (
            await bot.create_invoice_link(
                "Club",
                "A month",
                "club",
                "XTR",
                [LabeledPrice(label="Month", amount=50)],
                subscription_period=2_592_000,
            )
        ).partition("$")[2]
    await rig.telegram.act(ADA, "pay", slug=slug)
    row: Payment = await eventually(lambda: settled(rig))
    assert row.subscription_until == row.paid_at + 2_592_000


async def test_a_delivery_that_fails_is_tried_again_with_one_row(rig: Rig) -> None:
    await pay(rig, "stumble")
    assert await listed(rig, "delivered") == [f"{ADA}:stumble:50"]
    await eventually(lambda: settled(rig))
    assert len(await rows(rig)) == 1
    assert await listed(rig, "failures") == ["the first delivery fails"]


async def test_a_later_hook_that_fails_delivers_nothing_twice(rig: Rig) -> None:
    await pay(rig, "twice")

    async def seen() -> bool:
        return int(await rig.broker.client.get(rig.keys.own("seen")) or 0) >= 2

    await eventually(seen)
    assert await listed(rig, "delivered") == [f"{ADA}:twice:50"]


async def test_the_same_charge_in_another_update_is_no_second_payment(rig: Rig) -> None:
    for number in (900_000_000, 900_000_001):
        await feed_payment(rig, number, ADA, "stx1")

    async def seen() -> bool:
        return int(await rig.broker.client.get(rig.keys.own("seen")) or 0) == 2

    await eventually(seen)
    assert len(await rows(rig)) == 1
    assert await listed(rig, "delivered") == [f"{ADA}:hat:50"]


@pytest.mark.parametrize(("app", "words"), [("Idle", payments.REFUSAL), ("Routed", "By the router")])
async def test_apps_without_the_hooks(
    valkey: EmbeddedValkey, broker: Broker, tmp_path: Path, app: str, words: str
) -> None:
    async with reach(valkey, broker, tmp_path, APPS__CHAT__CLASS=f"reach_app:{app}") as rig:
        answer = await pay(rig, "hat")
        assert (answer["status"], answer["error"]) == ("failed", words)
