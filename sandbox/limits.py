"""Telegram's sending limits as token buckets, switched on when wanted.

Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

import math
from dataclasses import dataclass

OVERALL = (30.0, 30.0)  # messages per second, burst
PER_CHAT = (1.0, 3.0)
PER_GROUP = (20.0 / 60.0, 20.0)
MAX_CHATS = 100_000


@dataclass(slots=True)
class Bucket:
    """Tokens that refill with time; `left` may be read after `take`."""

    rate: float
    burst: float
    left: float
    at: float

    def refill(self, now: float) -> None:
        """Add what has come in since the last look."""
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.rate)
        self.at = now


class Limits:
    """The budget of one bot: overall and per chat."""

    def __init__(self) -> None:
        self.enabled = False
        self._overall = Bucket(*OVERALL, left=OVERALL[1], at=0.0)
        self._chats: dict[int, Bucket] = {}

    def take(self, chat_id: int, now: float) -> int | None:
        """Take one message to a chat from the budget, or return the whole seconds to wait."""
        if not self.enabled:
            return None
        chat = self._chat(chat_id, now)
        self._overall.refill(now)
        chat.refill(now)
        short = [bucket for bucket in (self._overall, chat) if bucket.left < 1]
        if short:
            return max(1, math.ceil(max((1 - bucket.left) / bucket.rate for bucket in short)))
        self._overall.left -= 1
        chat.left -= 1
        return None

    def _chat(self, chat_id: int, now: float) -> Bucket:
        rate, burst = PER_CHAT if chat_id > 0 else PER_GROUP
        if chat_id not in self._chats and len(self._chats) >= MAX_CHATS:
            self._forget_full(now)
        return self._chats.setdefault(chat_id, Bucket(rate, burst, left=burst, at=now))

    def _forget_full(self, now: float) -> None:
        # A full bucket is the same as none, so nothing is lost by forgetting it.
        for bucket in self._chats.values():
            bucket.refill(now)
        self._chats = {id_: bucket for id_, bucket in self._chats.items() if bucket.left < bucket.burst}
