"""What an app that sells overrides and calls."""

from typing import TYPE_CHECKING, Any

from mini_apps.bound import BoundApp
from mini_apps.telegram_bot import bot_of

if TYPE_CHECKING:
    from aiogram.types import PreCheckoutQuery

    from mini_apps.models import Payment

__all__ = ["Selling"]


class Selling(BoundApp):
    """The members of an app that sell; the hooks run in a bot worker."""

    async def invoice_link(self, title: str, description: str, payload: str, stars: int, /, **more: Any) -> str:
        """Make a link to pay in Telegram Stars, for the page's `Telegram.WebApp.openInvoice` or a button's `url`.

        Source: https://core.telegram.org/bots/api#createinvoicelink

        Args:
            title: of what is sold, 1 to 32 characters.
            description: 1 to 255 characters.
            payload: what tells you later what was sold and to whom, 1 to 128 bytes; the user does not see it.
            stars: the price.
            **more: further parameters of `createInvoiceLink`, such as `photo_url` or `subscription_period`.

        Raises:
            aiogram.exceptions.TelegramAPIError: Telegram refused it.
        """
        bot = await bot_of(self)  # type: ignore[arg-type]  # an App is made of this
        from aiogram.types import LabeledPrice  # noqa: PLC0415 - loaded by now

        prices = [LabeledPrice(label=title, amount=stars)]
        return await bot.create_invoice_link(title, description, payload, "XTR", prices, **more)

    async def on_pre_checkout(self, query: "PreCheckoutQuery") -> bool | str:  # noqa: ARG002 - for overrides
        """Tell whether a user may pay now; Telegram wants to know within 10 s, so there are 8.

        Without an override the answer is yes where `on_payment` is overridden, else no: nobody would deliver. A hook
        that raises, or is not done in time, refuses. It does not run where a handler of the router took the query.

        Args:
            query: aiogram's; `invoice_payload` says what is bought, `from_user` by whom.

        Returns:
            True, or why not, for the user to read; False refuses in general words.
        """
        return type(self).on_payment is not Selling.on_payment

    async def on_payment(self, payment: "Payment") -> None:
        """Deliver what was paid for; at least once for each payment, after it was recorded.

        Args:
            payment: `telegram_id`, `payload`, `currency`, `amount`, and `charge_id`, which is unique.
        """

    async def on_refund(self, payment: "Payment") -> None:
        """Take back what was delivered; at least once for each payment that was given back.

        Args:
            payment: as it was recorded, with `refunded_at`.
        """
