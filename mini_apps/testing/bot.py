"""What the bot did, as a test asks about it."""

from typing import TYPE_CHECKING

from mini_apps.testing.messages import TROUBLE, BotMessage, Wanted, listed

if TYPE_CHECKING:
    from mini_apps.testing.harness import MiniAppTest


class NotSent(AssertionError):
    """The bot did not send it; the text says what it did send."""


class BotUnderTest:
    """The bot of a deployment under test.

    Args:
        test: whose bot.
    """

    def __init__(self, test: "MiniAppTest") -> None:
        self._test = test
        self._seen: set[int] = set()  # places in `written` of what a test asked for and got

    @property
    def messages(self) -> list[BotMessage]:
        """All it wrote and edited so far, in order."""
        return list(self._test.telegram.written)

    async def sent(self, to: str | int, text: Wanted = None, *, edited: bool | None = None) -> BotMessage:
        """Return a message that the bot sent, waiting for it; each is returned once.

        Args:
            to: a user's name, or the id of a chat.
            text: a part of its text or caption, or a compiled pattern; None for any message.
            edited: true for edits only, false for new messages only.

        Raises:
            NotSent: the deployment came to rest without it; the text lists what was sent.
        """
        chat, rest = self._test.chat_of(to), False
        while True:
            self._test.telegram.news.clear()
            for place, message in self._new(chat):
                if message.matches(text) and edited in (None, message.edited):
                    self._seen.add(place)
                    return message
            if rest:
                raise NotSent(self._missing(to, chat, text))
            rest = await self._test.settling.news_or_rest(self._test.telegram.news)

    async def nothing_sent(self, to: str | int | None = None) -> None:
        """Wait until the deployment is at rest, and see that the bot sent nothing that was not asked for before.

        Args:
            to: a user's name, or the id of a chat; None for all.

        Raises:
            AssertionError: it sent something; the text lists it.
        """
        await self._test.settled()
        chat = None if to is None else self._test.chat_of(to)
        found = [self._shown(message) for _, message in self._new(chat)]
        if found:
            whom = "anybody" if to is None else to
            raise AssertionError(f"the bot should have sent {whom} nothing more, and sent\n{listed(found, '')}")

    def _new(self, chat: int | None) -> list[tuple[int, BotMessage]]:
        return [
            (place, message)
            for place, message in enumerate(self._test.telegram.written)
            if place not in self._seen and chat in (None, message.chat)
        ]

    def _missing(self, to: str | int, chat: int, text: Wanted) -> str:
        mine = [message for message in self.messages if message.chat == chat]
        others = [self._shown(message) for message in self.messages if message.chat != chat]
        what = "anything more" if text is None else f"{getattr(text, 'pattern', text)!r}"
        lines = [f"the bot did not send {to} {what}; it sent {to}", listed(mine, "nothing")]
        if others:
            lines += ["and others", listed(others, "")]
        if trouble := self._test.trouble():
            lines += [TROUBLE, listed(trouble, "")]
        return "\n".join(lines)

    def _shown(self, message: BotMessage) -> str:
        return f"to {self._test.name_of(message.chat)}: {message}"
