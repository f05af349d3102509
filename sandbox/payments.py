"""Invoices, and the way of a payment: checkout, the bot's yes or no within ten seconds, charge, refund.

Source: https://core.telegram.org/bots/payments-stars, https://core.telegram.org/bots/api#payments
"""

from sandbox.errors import ActionError, bad_request
from sandbox.model import Json, User
from sandbox.params import Params
from sandbox.state import Bot, World, find_message
from sandbox.till import STARS, Checkout, Invoice, Payment

MAX_TITLE, MAX_DESCRIPTION, MAX_PAYLOAD_BYTES = 32, 255, 128
MONTH = 30 * 24 * 3600  # the only period of subscriptions
MAX_AMOUNT = 10_000  # Stars of one invoice


def read_invoice(world: World, params: Params, *, recurring: bool = False) -> Invoice:
    """Return the invoice a call describes; only those behind links can be `recurring`.

    Raises:
        ApiError: Telegram would refuse it.
    """
    title, description = params.text("title"), params.text("description")
    if not 0 < len(title) <= MAX_TITLE:
        raise bad_request("INVOICE_TITLE_INVALID")
    if not 0 < len(description) <= MAX_DESCRIPTION:
        raise bad_request("INVOICE_DESCRIPTION_INVALID")
    payload = params.text("payload")
    if not 0 < len(payload.encode()) <= MAX_PAYLOAD_BYTES:
        raise bad_request("INVOICE_PAYLOAD_INVALID")
    currency = params.text("currency")
    if len(currency) != 3 or not currency.isupper():
        raise bad_request("CURRENCY_INVALID")
    amount = _total(params, currency)
    period = params.integer("subscription_period") if recurring else 0
    if period not in (0, MONTH) or (period and currency != STARS):
        raise bad_request("SUBSCRIPTION_PERIOD_INVALID")
    return Invoice(world.new_id(), title, description, payload, currency, amount, period)


def start_checkout(world: World, bot: Bot, user: User, invoice: Invoice, now: float) -> str:
    """Press Pay: ask the bot, and return the id of the query, whose answer comes as an event.

    Raises:
        ActionError: the bot fetches nothing.
    """
    world.require_room(bot)
    query_id = world.new_id()
    bot.till.checkouts.add(query_id, Checkout(user, invoice), now)
    payload = {"id": query_id, "from": user.to_api(), **invoice.price()}
    world.update(bot, "pre_checkout_query", payload, order_key=user.id, now=now)
    return query_id


def finish_checkout(world: World, bot: Bot, query_id: str, checkout: Checkout, refusal: str | None, now: float) -> None:
    """Charge, or tell why not.

    Args:
        world: where it happens.
        bot: who sells.
        query_id: of the checkout.
        checkout: as it waited.
        refusal: the bot's words to the user; None for a yes.
        now: unix seconds.
    """
    user, invoice = checkout.user, checkout.invoice
    dialog = world.dialog(bot, user)
    answer: Json = {"query_id": query_id, "status": "paid" if refusal is None else "failed"}
    if refusal is None:
        charge = f"stx{world.new_id()}"
        bot.till.payments.add(charge, Payment(user, invoice, int(now)), now)
        paid = {
            **invoice.price(),
            "telegram_payment_charge_id": charge,
            "provider_payment_charge_id": f"sandbox-{query_id}",
        }
        if invoice.period:
            ends = int(now) + invoice.period
            paid |= {"subscription_expiration_date": ends, "is_recurring": True, "is_first_recurring": True}
        message = world.post_empty(bot, dialog, user, now, {"successful_payment": paid})
        world.update(bot, "message", message.to_api(), order_key=dialog.chat.id, now=now)
    else:
        answer["error"] = refusal
    world.emit_chat(bot, dialog, "checkout", answer)


def refund(world: World, bot: Bot, user_id: int, charge: str, now: float) -> None:
    """Give Stars back.

    Raises:
        ApiError: there is no such charge of this user, or it was given back before.
    """
    payment = bot.till.payments.get(charge, now)
    if payment is None or payment.user.id != user_id or payment.invoice.currency != STARS:
        raise bad_request("CHARGE_NOT_FOUND")
    if payment.refunded:
        raise bad_request("CHARGE_ALREADY_REFUNDED")
    payment.refunded = True
    dialog = world.dialog(bot, payment.user)
    given_back = {**payment.invoice.price(), "telegram_payment_charge_id": charge}
    message = world.post_empty(bot, dialog, payment.user, now, {"refunded_payment": given_back})
    world.update(bot, "message", message.to_api(), order_key=dialog.chat.id, now=now)


def invoice_for(bot: Bot, user: User, slug: str, message_id: int, now: float, *, chat: int = 0) -> Invoice:
    """Return what a user is about to pay, by its link or by the message it is in.

    Raises:
        ActionError: there is no such invoice.
    """
    key = slug
    if not slug:
        dialog = bot.dialogs.get(chat or user.id)
        if dialog is None or find_message(dialog, message_id) is None:
            raise ActionError("this message is no longer there", status=404)
        key = f"{dialog.chat.id}:{message_id}"
    invoice = bot.till.invoices.get(key, now)
    if invoice is None:
        raise ActionError("there is no such invoice", status=404)
    return invoice


def _total(params: Params, currency: str) -> int:
    prices = params.array("prices")
    if not prices:
        raise bad_request("prices must be non-empty")
    if not all(isinstance(price, dict) and price.get("label") for price in prices):
        raise bad_request("can't parse labeled price")
    if not all(isinstance(price.get("amount"), int) for price in prices):
        raise bad_request("can't parse labeled price")
    total = int(sum(price["amount"] for price in prices))
    if currency == STARS:
        if len(prices) > 1:
            raise bad_request("STARS_INVOICE_INVALID")
    elif not params.text("provider_token"):
        raise bad_request("PAYMENT_PROVIDER_INVALID")
    if total < 1 or (currency == STARS and total > MAX_AMOUNT):
        raise bad_request("CURRENCY_TOTAL_AMOUNT_INVALID")
    return total
