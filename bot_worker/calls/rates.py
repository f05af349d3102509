"""How fast a bot may send, and what that means for the script that counts.

Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

from dataclasses import dataclass
from typing import Final

from shared.settings.model import TelegramSettings

SECOND: Final = 1_000_000  # µs
GROUP_WINDOW: Final = 61 * SECOND  # a minute, and what two calls may differ in on their way
BURST_SECONDS: Final = 0.5  # of the overall rate may be sent at once after a silence
HEADROOM_SECONDS: Final = 1 / 6  # of the overall rate bulk calls leave for the next interactive ones


@dataclass(frozen=True, slots=True)
class Rates:
    """The limits of one bot; 0 is none.

    Attributes:
        overall: messages a second.
        paid: messages a second of those sent with `allow_paid_broadcast`.
        chat: messages a second in one chat.
        chat_burst: messages a chat may get at once after a silence.
        group: messages a minute in one group or channel.
    """

    overall: int = 30
    paid: int = 1000
    chat: int = 1
    chat_burst: int = 2
    group: int = 20

    @classmethod
    def of(cls, settings: TelegramSettings) -> "Rates":
        """Return what an app's settings say."""
        return cls(
            settings.send_per_second,
            settings.send_per_second_paid,
            settings.send_per_chat,
            settings.send_chat_burst,
            settings.send_per_group,
        )

    def arguments(self) -> tuple[int, ...]:
        """Return the limits as the script takes them.

        Returns:
            Overall, then paid: µs for a message, µs the count may run ahead of the clock, and the same for bulk; for a
            chat the first two; messages in a group's window, and its µs.
        """
        chat = interval(self.chat)
        ahead = max(0, self.chat_burst - 1) * chat
        return (*bucket(self.overall), *bucket(self.paid), chat, ahead, self.group, GROUP_WINDOW)


def interval(per_second: int) -> int:
    """Return the µs one message takes; 0 for no limit."""
    return -(-SECOND // per_second) if per_second else 0


def bucket(per_second: int) -> tuple[int, int, int]:
    """Return for an overall rate: µs for a message, how far ahead of the clock calls may run, and bulk calls."""
    step = interval(per_second)
    burst = max(1, int(per_second * BURST_SECONDS))
    headroom = min(burst - 1, int(per_second * HEADROOM_SECONDS))
    return step, (burst - 1) * step, (burst - 1 - headroom) * step


def chat_name(chat: int | str) -> str:
    """Return the one name of a chat: its digits, or a username in small letters with its `@`."""
    text = str(chat).strip().lower()
    return text if not text or text.lstrip("-").isdigit() or text.startswith("@") else f"@{text}"


def is_group(name: str) -> bool:
    """Tell whether a chat has a group's limit: groups and channels have negative ids or are named."""
    return name.startswith(("-", "@"))
