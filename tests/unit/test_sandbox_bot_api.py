"""The local Telegram beside the Bot API as a machine reads it: aiogram's classes, which are made from its description.

Every method is called with parameters that fit it, and whatever it reads or answers, and whatever an update holds,
must be in that description too.
"""

import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import pytest
from aiogram import methods as described
from aiogram.types import Update
from pydantic import BaseModel, TypeAdapter

from sandbox import actions, giving, groups, invites, payments, server  # noqa: F401 - the server fills the table of methods
from sandbox.config import BotConfig
from sandbox.files import Sent
from sandbox.methods import METHODS, Call, execute
from sandbox.model import User
from sandbox.params import Params
from sandbox.state import Bot, World

NOW = 1_800_000_000.0
ADA = User(1001, "Ada", last_name="Lovelace", username="ada", language_code="en", is_premium=True)
BEN = User(1002, "Ben", username="ben")
URL = "http://127.0.0.1:8080/apps/counter/"
KEYBOARD = {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}], [{"text": "Web", "url": "https://a.example"}]]}
ARTICLE = {
    "type": "article", "id": "1", "title": "One", "input_message_content": {"message_text": "chosen"},
    "reply_markup": KEYBOARD,
}  # fmt: skip
PRICE = {
    "title": "A hat", "description": "For you", "payload": "hat", "currency": "XTR",
    "prices": [{"label": "Hat", "amount": 5}],
}  # fmt: skip
POLL = {"question": "Who?", "options": [{"text": "I"}, {"text": "You"}], "is_anonymous": False}
PARTS = ("document", "photo", "video", "animation", "audio", "voice", "video_note", "sticker")
# The description has its newest form only, and bots still send these.
OLDER = {"reply_to_message_id", "allow_sending_without_reply", "correct_option_id"}
DESCRIBED = {
    cls.__api_method__.lower(): cls
    for name in described.__all__
    if (cls := getattr(described, name)) and hasattr(cls, "__api_method__") and name != "TelegramMethod"
}


class Watched(Params):
    """Parameters that remember which of them were asked for."""

    def __init__(self, values: dict[str, Any], files: dict[str, Sent] | None = None) -> None:
        super().__init__(values, files)
        self.read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        self.read.add(name)
        return super().__contains__(name)

    def text(self, name: str, default: str = "") -> str:
        self.read.add(name)
        return super().text(name, default)

    def integer(self, name: str, default: int = 0) -> int:
        self.read.add(name)
        return super().integer(name, default)

    def structure(self, name: str) -> Any:
        self.read.add(name)
        return super().structure(name)


class Stage:
    """A world with a private chat, a supergroup that the bot runs, and one of everything a method may name."""

    def __init__(self) -> None:
        self.world = World([BotConfig("counter", "42:sandbox-counter", URL, "counter")], [ADA, BEN], Random(7), NOW)
        self.bot: Bot = self.world.bots[42]
        self.bot.queue.allowed = frozenset(Update.model_fields) - {"update_id"}
        self.private = actions.send_text(self.world, self.bot, ADA, "/start hello", NOW)
        dialog = groups.create_group(self.world, self.bot, ADA, "Chess", "supergroup", [BEN], NOW)
        groups.set_member(self.world, self.bot, dialog, ADA, groups.admin(self.bot.user, **rights()), NOW)
        self.group = dialog.chat.id
        self.text = self.made("sendMessage", chat_id=1001, text="Hi", reply_markup=KEYBOARD)["message_id"]
        self.photo = self.made("sendPhoto", chat_id=1001, photo="attach://photo")
        self.poll = self.made("sendPoll", chat_id=1001, **POLL)["message_id"]
        self.pinned = self.made("sendMessage", chat_id=self.group, text="Rules")["message_id"]
        self.invite = self.made("exportChatInviteLink", chat_id=self.group)
        self.made("pinChatMessage", chat_id=self.group, message_id=self.pinned)

    def call(self, method: str, values: dict[str, Any]) -> tuple[Any, Watched]:
        files = {name: Sent(f"{name}.png", b"some bytes") for name in PARTS}
        params = Watched(values, files)
        return execute(Call(self.world, self.bot, params, NOW, method.lower())), params

    def made(self, method: str, **values: Any) -> Any:
        return self.call(method, values)[0]

    def callback(self) -> str:
        return actions.press_button(self.world, self.bot, ADA, self.text, "go", NOW)

    def inline(self) -> str:
        return actions.send_inline_query(self.world, self.bot, ADA, "q", "", NOW, chat=self.group)

    def checkout(self) -> str:
        invoice = payments.read_invoice(self.world, Params(PRICE))
        return payments.start_checkout(self.world, self.bot, ADA, invoice, NOW)

    def charge(self) -> str:
        self.made("answerPreCheckoutQuery", pre_checkout_query_id=self.checkout(), ok=True)
        return self.bot.till.charges()[-1][0]

    def web_app(self) -> str:
        self.bot.web_app_queries.add("q1", actions.Query(ADA, self.world.dialog(self.bot, ADA)), NOW)
        return "q1"


def rights() -> dict[str, bool]:
    return dict.fromkeys(groups.ADMIN_RIGHTS, True)


def samples(stage: Stage) -> dict[str, dict[str, Any]]:
    """Give parameters for each method; what they name is on the stage."""
    chat, group, file_id = {"chat_id": 1001}, {"chat_id": stage.group}, stage.photo["photo"][0]["file_id"]
    ben = {**group, "user_id": 1002}
    message = {**chat, "message_id": stage.text}
    entities = [{"type": "bold", "offset": 0, "length": 1}]
    album = [{"type": "photo", "media": "attach://photo", "caption": "<b>a</b>", "parse_mode": "HTML"}] * 2
    source = {"from_chat_id": 1001}
    files = {f"send{kind.title().replace('_', '')}": {**chat, kind: f"attach://{kind}"} for kind in PARTS}
    texts = {"name": "Counter", "description": "Counts", "short_description": "It counts"}
    return {
        **files,
        **{f"setMy{what.title().replace('_', '')}": {what: text} for what, text in texts.items()},
        **{f"getMy{what.title().replace('_', '')}": {"language_code": "de"} for what in texts},
        "answerCallbackQuery": {"callback_query_id": stage.callback(), "text": "ok", "show_alert": True},
        "answerInlineQuery": {"inline_query_id": stage.inline(), "results": [ARTICLE], "next_offset": "1"},
        "answerPreCheckoutQuery": {"pre_checkout_query_id": stage.checkout(), "ok": True},
        "answerWebAppQuery": {"web_app_query_id": stage.web_app(), "result": ARTICLE},
        "banChatMember": {**ben, "until_date": int(NOW) + 60},
        "close": {},
        "copyMessage": {**group, **source, "message_id": stage.photo["message_id"], "caption": "Again"},
        "copyMessages": {**group, **source, "message_ids": [stage.text]},
        "createChatInviteLink": {**group, "name": "Friends", "member_limit": 2},
        "createInvoiceLink": {**PRICE, "subscription_period": 2_592_000},
        "deleteMessage": message,
        "deleteMessages": {**chat, "message_ids": [stage.poll]},
        "deleteMyCommands": {"scope": {"type": "chat_member", **ben}},
        "deleteWebhook": {"drop_pending_updates": True},
        "editMessageCaption": {**chat, "message_id": stage.photo["message_id"], "caption": "New"},
        "editMessageMedia": {**message, "media": {"type": "photo", "media": file_id, "caption": "Now a photo"}},
        "editMessageReplyMarkup": message,
        "editMessageText": {**message, "text": "Hello", "entities": entities},
        "exportChatInviteLink": group,
        "forwardMessage": {**group, **source, "message_id": stage.text, "protect_content": True},
        "forwardMessages": {**group, **source, "message_ids": [stage.text]},
        "getChat": group,
        "getChatAdministrators": group,
        "getChatMember": ben,
        "getChatMemberCount": group,
        "getChatMenuButton": chat,
        "getFile": {"file_id": file_id},
        "getMe": {},
        "getMyCommands": {"language_code": "de"},
        "getMyDefaultAdministratorRights": {},
        "getMyStarBalance": {},
        "getStarTransactions": {"limit": 5},
        "getUserProfilePhotos": {"user_id": 1001},
        "getWebhookInfo": {},
        "leaveChat": group,
        "logOut": {},
        "pinChatMessage": {**group, "message_id": stage.pinned},
        "promoteChatMember": {**ben, "can_pin_messages": True},
        "refundStarPayment": {"user_id": 1001, "telegram_payment_charge_id": stage.charge()},
        "restrictChatMember": {**ben, "permissions": {"can_send_messages": False}},
        "revokeChatInviteLink": {**group, "invite_link": stage.invite},
        "savePreparedInlineMessage": {"user_id": 1001, "result": ARTICLE, "allow_group_chats": True},
        "sendChatAction": {**group, "action": "typing"},
        "sendContact": {**chat, "phone_number": "+999", "first_name": "Cleo"},
        "sendDice": {**chat, "emoji": "🎯"},
        "sendInvoice": {**chat, **PRICE},
        "sendLocation": {**chat, "latitude": 52.5, "longitude": 13.4},
        "sendMediaGroup": {**chat, "media": album},
        "sendMessage": {
            **chat, "text": "*Hi*", "parse_mode": "MarkdownV2", "reply_markup": KEYBOARD, "protect_content": True,
            "reply_parameters": {"message_id": stage.text}, "link_preview_options": {"is_disabled": True},
        },
        "sendPoll": {**group, **POLL},
        "sendVenue": {**chat, "latitude": 1.0, "longitude": 2.0, "title": "Here", "address": "There"},
        "setChatAdministratorCustomTitle": {**group, "user_id": 1002, "custom_title": "Judge"},
        "setChatDescription": {**group, "description": "We play"},
        "setChatMenuButton": {**chat, "menu_button": {"type": "web_app", "text": "Go", "web_app": {"url": URL}}},
        "setChatPermissions": {**group, "permissions": {"can_send_messages": True}},
        "setChatTitle": {**group, "title": "Go"},
        "setMessageReaction": {**message, "reaction": [{"type": "emoji", "emoji": "👍"}]},
        "setMyCommands": {"commands": [{"command": "go", "description": "Go"}], "scope": {"type": "default"}},
        "setMyDefaultAdministratorRights": {"rights": {**dict.fromkeys(NEEDED_RIGHTS, False), "is_anonymous": True}},
        "setWebhook": {"url": "https://a.example/hook", "secret_token": "s", "allowed_updates": ["message"]},
        "stopPoll": {**chat, "message_id": stage.poll},
        "unbanChatMember": {**ben, "only_if_banned": True},
        "unpinAllChatMessages": group,
        "unpinChatMessage": {**group, "message_id": stage.pinned},
    }  # fmt: skip


NEEDED_RIGHTS = [name for name in groups.ADMIN_RIGHTS if name not in ("can_pin_messages", "can_manage_topics")]
BEFORE = {"setChatAdministratorCustomTitle": "promoteChatMember"}
OPENED_LONG_AGO = {"close"}


@cache
def adapter(described: Any) -> TypeAdapter[Any]:
    """Make the parser of a type once: that takes longer than all the rest here."""
    return TypeAdapter(described)


def unknown(value: Any, at: str = "") -> Iterator[str]:
    """Name every field of a parsed object that its description has not."""
    if isinstance(value, BaseModel):
        yield from (f"{at}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{at}.{name}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from unknown(item, at)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_reads_and_answers_what_the_bot_api_describes(method: str) -> None:
    stage = Stage()
    given = samples(stage)
    known = {name.lower(): name for name in given}
    assert method in DESCRIBED, f"{method} is no method of the Bot API"
    assert method in known, f"{method} needs a sample here"
    name, cls = known[method], DESCRIBED[method]
    if name in BEFORE:
        stage.made(BEFORE[name], **given[BEFORE[name]])
    if name in OPENED_LONG_AGO:
        stage.bot.opened = NOW - 3600
    values = given[name]
    assert not set(values) - set(cls.model_fields), "the sample itself does not fit"
    result, params = stage.call(name, values)
    assert params.read - set(cls.model_fields) - OLDER == set(), "it reads what is no parameter of the method"
    answer = adapter(cls.__returning__).validate_python(json.loads(json.dumps(result)))
    assert list(unknown(answer)) == []


def test_every_update_is_as_the_bot_api_describes_it() -> None:
    stage = Stage()
    world, bot, group = stage.world, stage.bot, stage.group
    stage.callback()
    query = stage.inline()
    stage.made("answerInlineQuery", inline_query_id=query, results=[ARTICLE])
    actions.choose_result(world, bot, ADA, query, "1", NOW)
    stage.made("refundStarPayment", user_id=1001, telegram_payment_charge_id=stage.charge())
    sent = actions.send_text(world, bot, BEN, "hello @ada", NOW, chat=group, reply_to=stage.pinned)
    actions.edit_text(world, bot, BEN, sent.id, "hello #all", NOW, chat=group)
    giving.react(world, bot, ADA, sent.id, "👍", NOW, chat=group)
    giving.vote(world, bot, ADA, stage.poll, [1], NOW)
    for kind in PARTS:
        giving.send_file(world, bot, ADA, kind, Sent("a.png", b"bytes"), "*caption*", NOW)
    giving.share_contact(world, bot, ADA, NOW)
    giving.share_location(world, bot, ADA, 1.0, 2.0, NOW)
    keyboard = [[{"text": "Who", "request_users": {"request_id": 1, "request_name": True, "request_username": True}}],
                [{"text": "Where", "request_chat": {"request_id": 2, "chat_is_channel": False, "request_title": True}}],
                [{"text": "Pick", "web_app": {"url": URL}}]]  # fmt: skip
    stage.made("sendMessage", chat_id=1001, text="x", reply_markup={"keyboard": keyboard})
    giving.share_users(world, bot, ADA, "Who", [BEN], NOW)
    giving.share_chat(world, bot, ADA, "Where", bot.dialogs[group], NOW)
    actions.send_web_app_data(world, bot, ADA, "Pick", "7", NOW)
    actions.allow_writing(world, bot, BEN, NOW)
    groups.set_member(world, bot, bot.dialogs[group], ADA, groups.Member(BEN, "left"), NOW)
    invites.join(world, bot, BEN, stage.invite.rpartition("+")[2], NOW)
    groups.rename(world, bot, bot.dialogs[group], ADA, "Go", NOW)
    basic = groups.create_group(world, bot, ADA, "Old", "group", [], NOW)
    groups.upgrade(world, bot, basic, ADA, NOW)
    actions.set_blocked(world, bot, ADA, blocked=True, now=NOW)
    seen = {"update_id"}
    for update in bot.queue.fetch(0, 1000, NOW):
        raw = json.loads(json.dumps(update.to_api()))
        assert list(unknown(Update.model_validate(raw))) == []
        seen |= set(raw)
    assert seen == {
        "update_id", "message", "edited_message", "callback_query", "inline_query", "chosen_inline_result",
        "pre_checkout_query", "my_chat_member", "chat_member", "message_reaction", "poll", "poll_answer",
    }  # fmt: skip
