"""What becomes of a payment: the app is asked before, and afterwards it is recorded once and told to the user's pages.

1. `pre_checkout_query`: a handler of the app's router, else `App.on_pre_checkout`, whose answer has to be at Telegram
   within ten seconds. Whatever goes wrong, the user is refused, so that nobody pays for what nobody will deliver.
2. `successful_payment`, `refunded_payment`: a row of `payments`, unique by Telegram's charge id; then a message of type
   `payment` to the user's clients; then `App.on_payment` or `App.on_refund`. A step that fails is repeated with the
   update; once all are done, no repeat does anything.

Source: https://core.telegram.org/bots/payments-stars
"""

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from mini_apps.hooks import call
from mini_apps.models import Payment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mini_apps.app import App

__all__ = ["CHECKOUT_SECONDS", "REFUSAL", "decide_checkout", "refuse_checkout", "take_payment"]

CHECKOUT_SECONDS: Final = 8.0  # of Telegram's ten, the rest is for the way there
MAX_REASON: Final = 255
REFUSAL: Final = "This cannot be bought now. You were not charged; please try again later."

checkouts = Counter(
    "mini_apps_bot_checkouts", "Checkouts, by what the user was told: yes, no, late", ["app", "verdict"]
)
payments = Counter("mini_apps_bot_payments", "What the app's hook was told of: payment, refund", ["app", "what"])


async def decide_checkout(app: "App", query: Any) -> bool:
    """Ask the app whether a user may pay, and tell Telegram.

    Args:
        app: who sells.
        query: aiogram's `PreCheckoutQuery`, bound to the bot.

    Returns:
        Whether Telegram took the answer; not when it came too late.
    """
    return await _answer(app, query, await _refusal(app, query))


async def take_payment(app: "App", message: "Mapping[str, Any]") -> None:
    """Record what a message says of a payment, tell the user's clients, and run the app's hook; nothing for others.

    Args:
        app: who sold.
        message: of the bot's update, decoded.

    Raises:
        SQLAlchemyError: the database did not take it.
        BrokerUnavailable: Redis did not take the message to the clients.
        Exception: what the hook raised.
    """
    paid, refunded = message.get("successful_payment"), message.get("refunded_payment")
    if isinstance(paid, dict):  # in a group too, where the chat is not who paid
        await _settle(app, await _recorded(app, message, paid, message["from"]["id"]), refund=False)
    elif isinstance(refunded, dict):
        await _settle(app, await _recorded(app, message, refunded, message["chat"]["id"]), refund=True)


async def refuse_checkout(app: "App", query: Any) -> None:
    """Tell Telegram at once that a user may not pay, such as one whose updates do not reach the app."""
    await _answer(app, query, REFUSAL)


async def _answer(app: "App", query: Any, refusal: str | None) -> bool:
    from aiogram.exceptions import TelegramBadRequest  # noqa: PLC0415 - whoever has a query has it loaded

    try:
        await app.telegram.answer_pre_checkout_query(query.id, ok=refusal is None, error_message=refusal)
    except TelegramBadRequest as error:  # nobody was charged, and no repeat can change that
        app.log.warning("an answer to a checkout came too late, so nobody was charged", reason=error.message)
        checkouts.labels(app.name, "late").inc()
        return False
    checkouts.labels(app.name, "yes" if refusal is None else "no").inc()
    return True


async def _refusal(app: "App", query: Any) -> str | None:
    try:
        async with app.clock.timeout(CHECKOUT_SECONDS):
            verdict = await call(app.on_pre_checkout, query)
    except Exception as error:  # noqa: BLE001 - whatever it is, the user is told no
        try:
            await call(app.on_telegram_exception, error)
        except Exception:  # the answer to the user matters more
            app.log.exception("on_telegram_exception failed")
        return REFUSAL
    if verdict is True:
        return None
    return verdict[:MAX_REASON] if isinstance(verdict, str) and verdict else REFUSAL


async def _recorded(app: "App", message: "Mapping[str, Any]", said: "Mapping[str, Any]", payer: int) -> Payment:
    """Give the row of a payment, made where it is missing."""
    charge = str(said["telegram_payment_charge_id"])
    async with app.db() as session:
        found = await session.scalar(select(Payment).where(Payment.charge_id == charge))
        if found is not None:
            return found
        payment = Payment(
            app=app.name,
            telegram_id=payer,
            charge_id=charge,
            provider_charge_id=str(said.get("provider_payment_charge_id") or ""),
            currency=str(said["currency"]),
            amount=int(said["total_amount"]),
            payload=str(said["invoice_payload"]),
            paid_at=int(message["date"]),
            subscription_until=said.get("subscription_expiration_date"),
        )
        session.add(payment)
        try:
            await session.commit()
        except IntegrityError:  # another worker, whose lane this was
            await session.rollback()
            found = await session.scalar(select(Payment).where(Payment.charge_id == charge))
            if found is None:
                raise
            return found
    return payment


async def _settle(app: "App", payment: Payment, *, refund: bool) -> None:
    if (payment.refunded_at if refund else payment.settled_at) is not None:
        return
    await app.send_to_user(payment.telegram_id, type="payment", **payment.to_json(), refunded=refund)
    if refund:
        payment.refunded_at = int(app.clock.time())
    await call(app.on_refund if refund else app.on_payment, payment)
    done = {"refunded_at": payment.refunded_at} if refund else {"settled_at": int(app.clock.time())}
    async with app.db() as session:
        await session.execute(update(Payment).where(Payment.id == payment.id).values(**done))
        await session.commit()
    payments.labels(app.name, "refund" if refund else "payment").inc()
