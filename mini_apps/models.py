"""The tables every deployment has: users, whom the bots may write to, and what was paid."""

from typing import Any

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["NAME_LENGTH", "AudienceMember", "Base", "Payment", "User"]

NAME_LENGTH = 255


class Base(DeclarativeBase):
    """The base of all models, the author's own too, so that they can refer to `users.id`."""


class User(Base):
    """A Telegram user who has logged in to an app of this deployment.

    Attributes:
        id: of the row.
        telegram_id: the user's id at Telegram, up to 52 bits.
        name: first and last name as Telegram last gave them.
        is_admin: whether the app treats the user as an admin. The column is false unless the author sets it; at a
            login the settings' list and `App.set_admin` add to it, on the object only.
        telegram_data: the decoded launch fields (`user`, `start_param`, `chat_instance`, …); not saved.
        first_login: when init data was last shown, unix seconds; not saved.
    """

    __tablename__ = "users"
    __allow_unmapped__ = True

    id: Mapped[int] = mapped_column(primary_key=True)
    telegram_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), default="")
    is_admin: Mapped[bool] = mapped_column(default=False)

    telegram_data: dict[str, Any] | None = None
    first_login: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give what other users may see, ready to be sent."""
        return {"telegram_id": self.telegram_id, "name": self.name, "is_admin": self.is_admin}


class AudienceMember(Base):
    """A user the bot of an app may write to, or may no longer.

    Attributes:
        app: its name.
        telegram_id: the user's id at Telegram.
        since: unix seconds of the first we knew of the user.
        blocked_at: unix seconds since which the bot may not write; None where it may.
    """

    __tablename__ = "audience"

    app: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    telegram_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    since: Mapped[int] = mapped_column(BigInteger)
    blocked_at: Mapped[int | None] = mapped_column(BigInteger)


class Payment(Base):
    """A payment to a bot.

    Attributes:
        id: of the row.
        app: whose bot it is.
        telegram_id: who paid.
        charge_id: Telegram's id of the charge, which a refund takes; no payment is recorded twice.
        provider_charge_id: the payment provider's, empty where there is none.
        currency: three letters; `XTR` for Stars.
        amount: in the smallest unit of the currency; whole Stars.
        payload: as the invoice has it.
        paid_at: unix seconds.
        subscription_until: unix seconds at which what was paid for ends; None where it is no subscription.
        settled_at: unix seconds at which the app's `on_payment` was done.
        refunded_at: unix seconds at which the payment was given back.
    """

    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    app: Mapped[str] = mapped_column(String(NAME_LENGTH))
    telegram_id: Mapped[int] = mapped_column(BigInteger, index=True)
    charge_id: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    provider_charge_id: Mapped[str] = mapped_column(String(NAME_LENGTH), default="")
    currency: Mapped[str] = mapped_column(String(3))
    amount: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[str] = mapped_column(String(NAME_LENGTH))
    paid_at: Mapped[int] = mapped_column(BigInteger)
    subscription_until: Mapped[int | None] = mapped_column(BigInteger)
    settled_at: Mapped[int | None] = mapped_column(BigInteger)
    refunded_at: Mapped[int | None] = mapped_column(BigInteger)

    def to_json(self) -> dict[str, Any]:
        """Give what the payer's page is told, ready to be sent."""
        return {
            "charge_id": self.charge_id,
            "currency": self.currency,
            "amount": self.amount,
            "payload": self.payload,
        }
