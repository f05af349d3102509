"""Methods of payments.

Source: https://core.telegram.org/bots/api#payments
"""

from sandbox.errors import bad_request
from sandbox.keyboards import inline_keyboard
from sandbox.methods import Call, method
from sandbox.model import Json
from sandbox.payments import finish_checkout, read_invoice, refund
from sandbox.sending import Content, deliver
from sandbox.till import STARS, Invoice


@method("createInvoiceLink")
def create_invoice_link(call: Call) -> str:
    """Make a link that anybody can pay, as often as they like."""
    invoice = read_invoice(call.world, call.params, recurring=True)
    call.bot.till.invoices.add(invoice.slug, invoice, call.now)
    return f"https://t.me/${invoice.slug}"


@method("sendInvoice")
def send_invoice(call: Call) -> Json:
    """Send an invoice with its Pay button, which must be the first one."""
    invoice = read_invoice(call.world, call.params)
    markup = _with_pay_button(inline_keyboard(call.params.obj("reply_markup")), invoice)
    [message] = deliver(call, Content(extra={"invoice": invoice.shown()}), inline=markup)
    call.bot.till.invoices.add(f"{message.chat.id}:{message.id}", invoice, call.now)
    return message.to_api()


@method("answerPreCheckoutQuery")
def answer_pre_checkout_query(call: Call) -> bool:
    """Say yes, which charges the user, or no with a reason; within ten seconds."""
    ok, refusal = call.params.flag("ok"), call.params.text("error_message")
    if not ok and not refusal:
        raise bad_request("error_message must be non-empty")
    query_id = call.params.text("pre_checkout_query_id")
    checkout = call.bot.till.checkouts.pop(query_id, call.now)
    if checkout is None:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    finish_checkout(call.world, call.bot, query_id, checkout, None if ok else refusal, call.now)
    return True


@method("refundStarPayment")
def refund_star_payment(call: Call) -> bool:
    """Give the Stars of a payment back, once."""
    charge = call.params.text("telegram_payment_charge_id")
    if not charge:
        raise bad_request("CHARGE_ID_EMPTY")
    refund(call.world, call.bot, call.params.integer("user_id"), charge, call.now)
    return True


def _with_pay_button(markup: Json | None, invoice: Invoice) -> Json:
    if markup is None:
        price = f"⭐️{invoice.amount}" if invoice.currency == STARS else f"{invoice.amount / 100:.2f} {invoice.currency}"
        return {"inline_keyboard": [[{"text": f"Pay {price}", "pay": True}]]}
    if not markup["inline_keyboard"][0][0].get("pay"):
        raise bad_request("BUTTON_TYPE_INVALID")
    return markup
