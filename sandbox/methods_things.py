"""Methods that send what is neither a text nor a file: places, contacts, dice, polls.

Source: https://core.telegram.org/bots/api#available-methods
"""

from sandbox.errors import bad_request
from sandbox.keyboards import inline_keyboard
from sandbox.methods import Call, method
from sandbox.methods_messages import own_message
from sandbox.model import Json
from sandbox.places import contact_of, location_of, venue_of
from sandbox.polls import Poll, option_texts
from sandbox.sending import Content, deliver

DICE = {"🎲": 6, "🎯": 6, "🎳": 6, "🏀": 5, "⚽": 5, "⚽️": 5, "🎰": 64}
MAX_QUESTION = 300


@method("sendLocation")
def send_location(call: Call) -> Json:
    """Send a point on the map."""
    return _send(call, location_of(call.params))


@method("sendVenue")
def send_venue(call: Call) -> Json:
    """Send a place with a name."""
    return _send(call, venue_of(call.params))


@method("sendContact")
def send_contact(call: Call) -> Json:
    """Send somebody's phone number."""
    return _send(call, contact_of(call.params))


@method("sendDice")
def send_dice(call: Call) -> Json:
    """Throw something; Telegram says how it fell."""
    emoji = call.params.text("emoji", "🎲")
    if emoji not in DICE:
        raise bad_request("wrong dice emoji specified")
    return _send(call, {"dice": {"emoji": emoji, "value": call.world.rng.randint(1, DICE[emoji])}})


@method("sendPoll")
def send_poll(call: Call) -> Json:
    """Ask everybody in a chat."""
    question = call.params.text("question").strip()
    if not 0 < len(question) <= MAX_QUESTION:
        raise bad_request("poll question must be non-empty" if not question else "poll question is too long")
    kind = call.params.text("type", "regular")
    right = call.params.array("correct_option_ids") or []
    if not right and "correct_option_id" in call.params:
        right = [call.params.integer("correct_option_id")]
    if kind not in {"regular", "quiz"} or (kind == "quiz" and not right):
        raise bad_request("quiz must have a correct option")
    poll = Poll(
        call.world.new_id(),
        question,
        option_texts(call.params.array("options") or []),
        anonymous="is_anonymous" not in call.params or call.params.flag("is_anonymous"),
        multiple=call.params.flag("allows_multiple_answers"),
        kind=kind,
        correct=tuple(option for option in right if isinstance(option, int)),
        closed=call.params.flag("is_closed"),
    )
    sent = deliver(call, Content(extra={"poll": poll.to_api()}))[0]
    poll.chat, poll.message_id = sent.chat.id, sent.id
    call.bot.polls.add(poll.id, poll, call.now)
    return sent.to_api()


@method("stopPoll")
def stop_poll(call: Call) -> Json:
    """Let nobody vote any more, and tell the result."""
    dialog, message = own_message(call)
    shown = message.extra.get("poll")
    poll = call.bot.polls.get(shown["id"], call.now) if shown else None
    if poll is None:
        raise bad_request("message with poll to stop not found")
    if poll.closed:
        raise bad_request("poll has already been closed")
    poll.closed = True
    markup = inline_keyboard(call.params.obj("reply_markup"))
    extra = {**message.extra, "poll": poll.to_api()}
    call.world.replace(call.bot, dialog, message, extra=extra, markup=markup)
    return poll.to_api()


def _send(call: Call, extra: Json) -> Json:
    return deliver(call, Content(extra=extra))[0].to_api()
