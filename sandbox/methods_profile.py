"""Methods about how the bot presents itself, and what people show of themselves.

Source: https://core.telegram.org/bots/api#available-methods
"""

from collections.abc import Callable
from typing import Any

from sandbox.errors import bad_request
from sandbox.groups import ADMIN_RIGHTS
from sandbox.methods import Call, method
from sandbox.model import Json

_TEXTS = {"name": 64, "description": 512, "short_description": 120}


def _setter(what: str, longest: int) -> Callable[[Call], bool]:
    def set_text(call: Call) -> bool:
        """Set a text of the bot's profile, for a language or all; an empty one goes back to the wider one."""
        text = call.params.text(what)
        if len(text) > longest:
            raise bad_request(f"bot {what.replace('_', ' ')} is too long")
        call.bot.profile[what, call.params.text("language_code")] = text
        return True

    return set_text


def _getter(what: str) -> Callable[[Call], Json]:
    def get_text(call: Call) -> Json:
        """Return a text of the bot's profile in a language, else the one for all."""
        texts = [call.bot.profile.get((what, code), "") for code in (call.params.text("language_code"), "")]
        default = call.bot.user.first_name if what == "name" else ""
        return {what: next(filter(None, texts), default)}

    return get_text


for _what, _longest in _TEXTS.items():
    _name = _what.title().replace("_", "")
    method(f"setMy{_name}")(_setter(_what, _longest))
    method(f"getMy{_name}")(_getter(_what))


@method("setMyDefaultAdministratorRights")
def set_my_default_administrator_rights(call: Call) -> bool:
    """Set what the bot asks for when somebody makes it an administrator."""
    given = call.params.obj("rights") or {}
    call.bot.wanted_rights = {name: True for name in ("is_anonymous", *ADMIN_RIGHTS) if given.get(name)}
    return True


@method("getMyDefaultAdministratorRights")
def get_my_default_administrator_rights(call: Call) -> Json:
    """Return what the bot asks for when somebody makes it an administrator."""
    return {name: call.bot.wanted_rights.get(name, False) for name in ("is_anonymous", *ADMIN_RIGHTS)}


@method("getUserProfilePhotos")
def get_user_profile_photos(call: Call) -> Json:
    """Return nobody's photos: people here have none."""
    if call.params.integer("user_id") not in {*call.world.users, call.bot.id}:
        raise bad_request("user not found")
    photos: list[Any] = []
    return {"total_count": 0, "photos": photos}


@method("getMyStarBalance")
def get_my_star_balance(call: Call) -> Json:
    """Return the Stars the bot has taken and not given back."""
    return {"amount": sum(payment.invoice.amount for payment in call.bot.till.sold() if not payment.refunded)}


@method("getStarTransactions")
def get_star_transactions(call: Call) -> Json:
    """Return the bot's payments in Stars, oldest first; a refund has the id of its payment."""
    rows: list[Json] = []
    for charge, payment in call.bot.till.charges():
        partner = {"type": "user", "transaction_type": "invoice_payment", "user": payment.user.to_api()}
        partner["invoice_payload"] = payment.invoice.payload
        row = {"id": charge, "amount": payment.invoice.amount, "date": payment.date}
        rows.append({**row, "source": partner})
        if payment.refunded:
            rows.append({**row, "receiver": partner})
    offset, limit = max(0, call.params.integer("offset")), call.params.clamped("limit", 100, 1, 100)
    return {"transactions": rows[offset : offset + limit]}
