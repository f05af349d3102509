"""What people give in a chat besides texts: files, votes, reactions, their number, other people.

Source: https://core.telegram.org/bots/api#keyboardbutton, https://core.telegram.org/bots/api#pollanswer
"""

from collections.abc import Sequence

from sandbox.actions import place, send
from sandbox.errors import ActionError, ApiError
from sandbox.files import Sent
from sandbox.formatting import user_text
from sandbox.media import KINDS, MAX_CAPTION, shown_file
from sandbox.model import Json, Message, User
from sandbox.params import Params
from sandbox.reactions import user_reacts
from sandbox.state import Bot, Dialog, World, find_message


def send_file(
    world: World, bot: Bot, user: User, kind: str, sent: Sent, caption: str, now: float, *, chat: int = 0
) -> Message:
    """Send a file.

    Args:
        world: where it happens.
        bot: whose chat it is.
        user: who sends.
        kind: `photo`, `document`, `voice`, …
        sent: the file.
        caption: what is written below it.
        now: unix seconds.
        chat: a group; 0 for the private chat.

    Raises:
        ActionError: it is empty or too large, or the user may not write there.
    """
    if kind not in KINDS:
        raise ActionError(f"kind must be one of {', '.join(KINDS)}")
    if len(caption) > MAX_CAPTION:
        raise ActionError(f"a caption has at most {MAX_CAPTION} characters")
    place(world, bot, user, chat)
    try:
        extra = shown_file(world.files.add(kind, sent), Params({}))
        text = user_text(caption) if caption.strip() else None
    except ApiError as error:
        raise ActionError(error.description.removeprefix("Bad Request: "), status=error.code) from error
    if text is not None:
        entities = [entity.to_api() for entity in text.entities]
        extra |= {"caption": text.text, **({"caption_entities": entities} if entities else {})}
    return send(world, bot, user, now, extra=extra, chat=chat)


def share_contact(world: World, bot: Bot, user: User, now: float) -> Message:
    """Give the bot one's phone number, which here is made up from the id.

    Raises:
        ActionError: the bot fetches nothing.
    """
    return send(world, bot, user, now, extra={"contact": contact(user)})


def contact(user: User) -> Json:
    """Return the `Contact` of somebody here; no country has this code."""
    known = {"first_name": user.first_name, "last_name": user.last_name}
    shown = {name: value for name, value in known.items() if value}
    return {"phone_number": f"+9990{user.id:07d}", **shown, "user_id": user.id}


def share_location(world: World, bot: Bot, user: User, latitude: float, longitude: float, now: float) -> Message:
    """Tell the bot where one is.

    Raises:
        ActionError: the bot fetches nothing.
    """
    return send(world, bot, user, now, extra={"location": {"latitude": latitude, "longitude": longitude}})


def share_users(world: World, bot: Bot, user: User, button_text: str, users: Sequence[User], now: float) -> Message:
    """Answer a button that asks for users.

    Raises:
        ActionError: there is no such button.
    """
    asked = _button(world, bot, user, button_text, "request_users")
    shared: list[Json] = []
    for other in users:
        person: Json = {"user_id": other.id}
        if asked.get("request_name"):
            person |= {"first_name": other.first_name, **({"last_name": other.last_name} if other.last_name else {})}
        if asked.get("request_username") and other.username:
            person["username"] = other.username
        shared.append(person)
    return send(world, bot, user, now, extra={"users_shared": {"request_id": asked["request_id"], "users": shared}})


def share_chat(world: World, bot: Bot, user: User, button_text: str, chat: Dialog, now: float) -> Message:
    """Answer a button that asks for a group.

    Raises:
        ActionError: there is no such button.
    """
    asked = _button(world, bot, user, button_text, "request_chat")
    shared = {"request_id": asked["request_id"], "chat_id": chat.chat.id}
    if asked.get("request_title"):
        shared["title"] = chat.chat.title
    return send(world, bot, user, now, extra={"chat_shared": shared})


def vote(
    world: World, bot: Bot, user: User, message_id: int, options: Sequence[int], now: float, *, chat: int = 0
) -> None:
    """Vote in a poll; the bot gets `poll_answer` where votes are public, and the new counts as `poll`.

    Raises:
        ActionError: there is no such poll, it is closed, or this is no valid vote.
    """
    dialog = place(world, bot, user, chat)
    message = _message(dialog, message_id)
    poll = bot.polls.get(str((message.extra.get("poll") or {}).get("id")), now)
    if poll is None:
        raise ActionError("this is no poll", status=404)
    world.require_room(bot)
    poll.vote(user.id, options)
    world.replace(bot, dialog, message, extra={**message.extra, "poll": poll.to_api()})
    if not poll.anonymous:
        chosen = list(options)
        answer = {"poll_id": poll.id, "user": user.to_api(), "option_ids": chosen}
        answer["option_persistent_ids"] = [str(option) for option in chosen]
        world.update(bot, "poll_answer", answer, order_key=user.id, now=now)
    world.update(bot, "poll", poll.to_api(), order_key=dialog.chat.id, now=now)


def react(world: World, bot: Bot, user: User, message_id: int, emoji: str, now: float, *, chat: int = 0) -> None:
    """Put an emoji on a message, or take one's own off with none.

    Raises:
        ActionError: the message is not there.
    """
    dialog = place(world, bot, user, chat)
    user_reacts(world, bot, dialog, _message(dialog, message_id), user, [emoji] if emoji else [], now)


def pressed_keyboard(world: World, bot: Bot, user: User, button_text: str) -> Json:
    """Return a button of the reply keyboard in the private chat.

    Raises:
        ActionError: there is none with this text.
    """
    rows = (world.dialog(bot, user).keyboard or {}).get("keyboard") or ()
    found = next((button for row in rows for button in row if button.get("text") == button_text), None)
    if found is None:
        raise ActionError("this button is no longer there", status=404)
    return dict(found)


def _button(world: World, bot: Bot, user: User, text: str, what: str) -> Json:
    asked = pressed_keyboard(world, bot, user, text).get(what)
    if not isinstance(asked, dict) or not isinstance(asked.get("request_id"), int):
        raise ActionError(f"this button does not ask for {what.removeprefix('request_')}")
    return asked


def _message(dialog: Dialog, message_id: int) -> Message:
    message = find_message(dialog, message_id)
    if message is None:
        raise ActionError("this message is no longer there", status=404)
    return message
