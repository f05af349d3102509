"""What is in a chat, as a test wants to look at it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

TROUBLE: Final = "what went wrong meanwhile, or waits for time to pass (`await t.advance(seconds)`):"

Wanted = str | re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class BotMessage:
    """One message as it stood when it was sent or edited.

    Attributes:
        raw: the Bot API `Message`; https://core.telegram.org/bots/api#message.
        edited: whether this is what an edit made of it.
    """

    raw: dict[str, Any]
    edited: bool = False

    @property
    def id(self) -> int:
        """Its number in the chat."""
        return int(self.raw["message_id"])

    @property
    def chat(self) -> int:
        """The chat it is in; a private chat has the id of its user."""
        return int(self.raw["chat"]["id"])

    @property
    def text(self) -> str:
        """Its text, or the caption of what it shows; empty where there is neither."""
        return str(self.raw.get("text") or self.raw.get("caption") or "")

    @property
    def buttons(self) -> list[dict[str, Any]]:
        """The buttons below it, row after row, as Bot API `InlineKeyboardButton`s."""
        rows = (self.raw.get("reply_markup") or {}).get("inline_keyboard") or []
        return [button for row in rows for button in row]

    def matches(self, wanted: Wanted) -> bool:
        """Tell whether its text holds a text, or is found by a pattern; None matches any.

        Args:
            wanted: a part of the text, or a compiled pattern.
        """
        if wanted is None:
            return True
        return wanted.search(self.text) is not None if isinstance(wanted, re.Pattern) else wanted in self.text

    def __str__(self) -> str:
        """Show it in one line."""
        what = repr(self.text) if self.text else f"a message with {', '.join(self._others()) or 'nothing'}"
        texts = [str(button.get("text")) for button in self.buttons]
        return f"{what}{' (edited)' if self.edited else ''}{f', buttons {texts}' if texts else ''}"

    def _others(self) -> list[str]:
        usual = {"message_id", "from", "chat", "date", "edit_date", "reply_markup", "text", "entities"}
        return [name for name in self.raw if name not in usual]


def listed(things: Iterable[object], none: str) -> str:
    """Write things under each other, or say that there is none.

    Args:
        things: each becomes a line.
        none: what to say without any.
    """
    lines = [f"  {thing}" for thing in things]
    return "\n".join(lines) if lines else f"  {none}"
