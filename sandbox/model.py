"""The things a Telegram is made of: users, chats, messages, and their Bot API form.

Source: https://core.telegram.org/bots/api#available-types
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class User:
    """A person or a bot; `id` has at most 52 bits."""

    id: int
    first_name: str
    last_name: str = ""
    username: str = ""
    language_code: str = ""
    is_bot: bool = False
    is_premium: bool = False

    def to_api(self) -> Json:
        """Return the Bot API `User`, optional fields left out when empty."""
        result: Json = {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name}
        for name in ("last_name", "username", "language_code"):
            if value := getattr(self, name):
                result[name] = value
        if self.is_premium:
            result["is_premium"] = True
        return result

    def to_init_data(self, *, allows_write: bool) -> Json:
        """Return the `user` of a launch: the same person, without what only bots see."""
        result = self.to_api()
        del result["is_bot"]
        if allows_write:
            result["allows_write_to_pm"] = True
        return result


@dataclass(frozen=True, slots=True)
class Entity:
    """A marked part of a text; `offset` and `length` count UTF-16 code units."""

    type: str
    offset: int
    length: int
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_api(self) -> Json:
        """Return the Bot API `MessageEntity`."""
        return {"offset": self.offset, "length": self.length, "type": self.type, **self.extra}


@dataclass(frozen=True, slots=True)
class RichText:
    """A text with its entities, sorted by offset."""

    text: str
    entities: tuple[Entity, ...] = ()


NO_TEXT = RichText("")


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation; a private chat has the id of its user."""

    id: int
    type: str = "private"
    title: str = ""
    user: User | None = None

    def to_api(self) -> Json:
        """Return the Bot API `Chat`."""
        result: Json = {"id": self.id}
        if self.user is not None:
            for name in ("first_name", "last_name", "username"):
                if value := getattr(self.user, name):
                    result[name] = value
        if self.title:
            result["title"] = self.title
        result["type"] = self.type
        return result


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a group, or who was there.

    Args:
        status: `creator`, `administrator`, `member`, `restricted`, `left` or `kicked`.
        rights: of an administrator, or what a restricted member still may.
        title: of an administrator.
        until: unix seconds at which a restriction or ban ends; 0: never.
    """

    user: User
    status: str = "member"
    rights: Mapping[str, bool] = field(default_factory=dict)
    title: str = ""
    until: int = 0

    @property
    def is_there(self) -> bool:
        """Whether they are in the group."""
        return self.status not in {"left", "kicked"}

    @property
    def is_admin(self) -> bool:
        """Whether they run the group."""
        return self.status in {"creator", "administrator"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat; an edit makes a new value with the same id.

    Args:
        extra: further Bot API fields as they are sent, such as `web_app_data`.
        markup: the inline keyboard, the only markup that belongs to a message.
    """

    id: int
    date: int
    sender: User
    chat: Chat
    content: RichText = NO_TEXT
    markup: Json | None = None
    edit_date: int | None = None
    reply_to: "Message | None" = None
    via_bot: User | None = None
    inline_id: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_api(self) -> Json:
        """Return the Bot API `Message`; a quoted message is one level deep, as Telegram sends it."""
        result: Json = {
            "message_id": self.id,
            "from": self.sender.to_api(),
            "chat": self.chat.to_api(),
            "date": self.date,
        }
        if self.edit_date is not None:
            result["edit_date"] = self.edit_date
        if self.reply_to is not None:
            result["reply_to_message"] = replace(self.reply_to, reply_to=None).to_api()
        if self.via_bot is not None:
            result["via_bot"] = self.via_bot.to_api()
        if self.content.text:
            result["text"] = self.content.text
        if self.content.entities:
            result["entities"] = [entity.to_api() for entity in self.content.entities]
        if self.markup is not None:
            result["reply_markup"] = self.markup
        return {**result, **self.extra}


@dataclass(frozen=True, slots=True)
class Event:
    """Something the page should show: goes to every open page.

    Args:
        kind: `message`, `edited`, `deleted`, `chat`, `callback_answer`, `inline_answer`, `action`, `checkout`,
            `group` or `user`.
        data: JSON fields; those about a chat carry `bot` and `chat` ids.
    """

    kind: str
    data: Json
