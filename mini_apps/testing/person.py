"""Somebody with a phone: what they do in their chat with the bot, and in groups."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mini_apps.testing.messages import BotMessage, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from mini_apps.testing.harness import MiniAppTest
    from sandbox.model import Message, User

PHOTO: Final = bytes.fromhex(  # the smallest PNG, one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


class NotThere(AssertionError):
    """What somebody wants to press, choose or pay is not on their phone; the text says what is."""


@dataclass(frozen=True, slots=True)
class Toast:
    """What a phone shows after a button was pressed.

    Attributes:
        text: of the toast or alert; empty where only the spinner stops.
        alert: whether it has to be closed.
        url: that is opened.
    """

    text: str
    alert: bool
    url: str


class Person:
    """A user of the local Telegram.

    Args:
        test: the deployment they use.
        user: as Telegram knows them.

    Attributes:
        name: their username.
        id: their Telegram id.
    """

    def __init__(self, test: "MiniAppTest", user: "User") -> None:
        self._test = test
        self.name, self.id = user.username, user.id
        self._query = ""  # the last inline query

    def __repr__(self) -> str:
        """Name them."""
        return f"<{self.name}, {self.id}>"

    def reads(self, chat: int = 0) -> list[BotMessage]:
        """Return what is in a chat now, everybody's messages as they stand.

        Args:
            chat: a group; 0 for the chat with the bot.
        """
        dialog = self._test.telegram.bot.dialogs.get(chat or self.id)
        return [BotMessage(message.to_api()) for message in dialog.messages] if dialog is not None else []

    # Writing.

    async def sends(self, text: str, *, chat: int = 0, reply_to: BotMessage | None = None) -> BotMessage:
        """Write to the bot, a command for example; the first message starts it.

        Args:
            text: what they type.
            chat: a group; 0 for the chat with the bot.
            reply_to: the message they answer.

        Raises:
            ActionError: Telegram would not take it; the text says why.
        """
        from sandbox import actions  # noqa: PLC0415 - services are loaded late

        return self._wrote(actions.send_text, text, chat=chat, reply_to=reply_to.id if reply_to else 0)

    async def sends_photo(self, photo: bytes = PHOTO, caption: str = "", *, chat: int = 0) -> BotMessage:
        """Send a photo.

        Args:
            photo: the file; one pixel when not given.
            caption: what they write below it.
            chat: a group; 0 for the chat with the bot.

        Raises:
            ActionError: Telegram would not take it; the text says why.
        """
        return await self.sends_file(photo, "photo.png", kind="photo", caption=caption, chat=chat)

    async def sends_file(
        self, content: bytes, name: str, *, kind: str = "document", caption: str = "", chat: int = 0
    ) -> BotMessage:
        """Send a file.

        Args:
            content: of the file.
            name: of the file.
            kind: `document`, `photo`, `voice`, `video`, …
            caption: what they write below it.
            chat: a group; 0 for the chat with the bot.

        Raises:
            ActionError: Telegram would not take it; the text says why.
        """
        from sandbox import giving  # noqa: PLC0415 - services are loaded late
        from sandbox.files import Sent  # noqa: PLC0415 - as above

        return self._wrote(giving.send_file, kind, Sent(name, content), caption, chat=chat)

    async def creates_group(self, title: str, *members: str) -> int:
        """Make a group with the bot in it, and return its id.

        Args:
            title: of the group.
            *members: names of others who are in it.

        Raises:
            ActionError: Telegram would not take it; the text says why.
        """
        from sandbox import groups  # noqa: PLC0415 - services are loaded late

        users = [self._test.user(name).as_user for name in members]
        return int(self._act(groups.create_group, title, "supergroup", users).chat.id)

    # Pressing, asking, paying.

    async def presses(self, button: str, *, chat: int = 0) -> Toast | None:
        """Press a button below one of the bot's messages, the newest that has it.

        Args:
            button: its text, or its callback data.
            chat: a group; 0 for the chat with the bot.

        Returns:
            What the phone shows when the bot answers; None where it does not.

        Raises:
            NotThere: there is no such button; the text lists those there are.
        """
        from sandbox import actions  # noqa: PLC0415 - services are loaded late

        messages = list(reversed(self.reads(chat)))
        for message in messages:
            for shown in message.buttons:
                if button in (shown["text"], shown.get("callback_data")) and "callback_data" in shown:
                    query = self._act(actions.press_button, message.id, shown["callback_data"], chat=chat)
                    answer = await self._answer(query)
                    return answer and Toast(answer["text"], answer["show_alert"], answer["url"])
        texts = [shown["text"] for message in messages for shown in message.buttons]
        raise NotThere(f"{self.name} sees no button {button!r} to press; there are\n{listed(texts, 'none')}")

    async def asks_inline(self, query: str = "", *, chat: int = 0) -> list[dict[str, Any]]:
        """Type `@bot query`, and return the results that the bot offers, as Bot API `InlineQueryResult`s.

        Args:
            query: what is typed behind the bot's name.
            chat: a group; 0 for the chat with the bot.
        """
        from sandbox import actions  # noqa: PLC0415 - services are loaded late

        self._query = self._act(actions.send_inline_query, query, "", chat=chat)
        answer = await self._answer(self._query)
        return list(answer["results"]) if answer else []

    async def chooses(self, result_id: str) -> BotMessage:
        """Send one of the results of the last inline query, and return the message it made.

        Args:
            result_id: of the result.

        Raises:
            ActionError: there is no such result.
        """
        from sandbox import actions  # noqa: PLC0415 - services are loaded late

        return self._wrote(actions.choose_result, self._query, result_id)

    async def pays(self, link: str = "") -> str:
        """Pay the newest invoice in the chat with the bot, and wait for the bot's yes or no.

        Args:
            link: of an invoice that the mini app opens, in place of one in the chat.

        Returns:
            Why the bot said no; empty where it was paid.

        Raises:
            NotThere: there is no invoice, or the bot did not answer.
        """
        from sandbox import payments  # noqa: PLC0415 - services are loaded late

        shown = next((message.id for message in reversed(self.reads()) if "invoice" in message.raw), 0)
        if not (link or shown):
            raise NotThere(
                f"{self.name} sees no invoice to pay; in the chat there is\n{listed(self.reads(), 'nothing')}"
            )
        telegram = self._test.telegram
        slug, now = link.rpartition("/")[2].lstrip("$"), telegram.runtime.clock()
        invoice = payments.invoice_for(telegram.bot, self.as_user, slug, shown, now)
        answer = await self._answer(self._act(payments.start_checkout, invoice))
        if answer is None:
            raise NotThere(f"the bot did not answer that {self.name} wants to pay {invoice.title!r}")
        return str(answer.get("error", ""))

    async def blocks(self) -> None:
        """Block the bot."""
        from sandbox import actions  # noqa: PLC0415 - services are loaded late

        self._act(actions.set_blocked, blocked=True)

    async def unblocks(self) -> None:
        """Let the bot write again."""
        from sandbox import actions  # noqa: PLC0415 - services are loaded late

        self._act(actions.set_blocked, blocked=False)

    # How it is done.

    @property
    def as_user(self) -> "User":
        """The user, as the local Telegram knows them."""
        return self._test.telegram.runtime.world.users[self.id]

    def _wrote(self, action: "Callable[..., Message]", *args: Any, **fields: Any) -> BotMessage:
        return BotMessage(self._act(action, *args, **fields).to_api())

    def _act(self, action: "Callable[..., Any]", *args: Any, **fields: Any) -> Any:
        """Do something on the phone; updates for the bot follow from it."""
        telegram = self._test.telegram
        world, bot, now = telegram.runtime.world, telegram.bot, telegram.runtime.clock()
        try:
            return action(world, bot, self.as_user, *args, now=now, **fields)
        finally:
            telegram.runtime.settle()

    async def _answer(self, query_id: str) -> Any:
        """Wait for what the bot answers to a query; None where there is nothing to wait for any more."""
        telegram, rest = self._test.telegram, False
        while query_id not in telegram.answers:
            if rest:
                return None
            telegram.news.clear()
            rest = await self._test.settling.news_or_rest(telegram.news)
        return telegram.answers[query_id]
