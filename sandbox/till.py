"""What a bot sells and has sold.

Source: https://core.telegram.org/bots/payments-stars
"""

from dataclasses import dataclass

from sandbox.model import Json, User
from sandbox.pending import Pending

STARS = "XTR"
CHECKOUT_SECONDS = 10.0  # the bot has to answer


@dataclass(frozen=True, slots=True)
class Invoice:
    """What can be paid, as often as somebody does.

    Attributes:
        slug: in its link.
        amount: in the smallest unit of the currency; whole Stars.
        period: seconds after which a subscription is paid again; 0 for what is none.
    """

    slug: str
    title: str
    description: str
    payload: str
    currency: str
    amount: int
    period: int = 0

    def shown(self) -> Json:
        """Return what people see of it."""
        return {
            "title": self.title,
            "description": self.description,
            "start_parameter": "",
            "currency": self.currency,
            "total_amount": self.amount,
        }

    def price(self) -> Json:
        """Return what every message about a payment says."""
        return {"currency": self.currency, "total_amount": self.amount, "invoice_payload": self.payload}


@dataclass(frozen=True, slots=True)
class Checkout:
    """Somebody is about to pay and waits for the bot's answer."""

    user: User
    invoice: Invoice


@dataclass(slots=True)
class Payment:
    """A charge that was made; `date` in unix seconds."""

    user: User
    invoice: Invoice
    date: int = 0
    refunded: bool = False


class Till:
    """The payments of one bot.

    Attributes:
        invoices: by slug; those in messages also by `chat:message`.
        checkouts: that wait for the bot, by the id of the query.
        payments: by charge id.
    """

    def __init__(self) -> None:
        self.invoices: Pending[Invoice] = Pending(float("inf"))
        self.checkouts: Pending[Checkout] = Pending(CHECKOUT_SECONDS)
        self.payments: Pending[Payment] = Pending(float("inf"))

    def charges(self) -> list[tuple[str, Payment]]:
        """Return the payments in Stars with their charge ids, oldest first."""
        return [(charge, payment) for charge, payment in self.payments.items() if payment.invoice.currency == STARS]

    def sold(self) -> list[Payment]:
        """Return the payments in Stars, oldest first."""
        return [payment for _, payment in self.charges()]
