"""Telegram's sending limits, switched on when wanted; who goes on in spite of a 429 waits longer and longer.

Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Protocol

OVERALL = (30.0, 30.0)  # messages per second, burst
PAID = (1000.0, 1000.0)  # with allow_paid_broadcast
PER_CHAT = (1.0, 3.0)
PER_GROUP = (20, 60.0)  # messages in any so many seconds
MAX_CHATS = 100_000
PATIENCE = 20  # refusals in a row that cost nothing more: calls were on their way
LONGEST = 300  # seconds


class Meter(Protocol):
    """One limit and how much of it is used."""

    def wait(self, now: float) -> float:
        """Return the seconds until there is room; 0 where there is."""

    def spend(self, now: float) -> None:
        """Count a message."""

    def unused(self, now: float) -> bool:
        """Tell whether it is as good as new."""


@dataclass(slots=True)
class Bucket:
    """Tokens that refill with time."""

    rate: float
    burst: float
    left: float
    at: float

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; 0 where there is."""
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.rate)
        self.at = now
        return max(0.0, (1 - self.left) / self.rate)

    def spend(self, now: float) -> None:  # noqa: ARG002 - it was refilled by `wait`
        """Take a token."""
        self.left -= 1

    def unused(self, now: float) -> bool:
        """Tell whether the bucket is full."""
        self.wait(now)
        return self.left >= self.burst


@dataclass(slots=True)
class Window:
    """So many messages in any stretch of time."""

    most: int
    seconds: float
    times: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Return the seconds until the window has room; 0 where it has."""
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        return 0.0 if len(self.times) < self.most else self.times[0] + self.seconds - now

    def spend(self, now: float) -> None:
        """Remember a message."""
        self.times.append(now)

    def unused(self, now: float) -> bool:
        """Tell whether nothing is in the window."""
        self.wait(now)
        return not self.times


@dataclass(slots=True)
class Scope:
    """What a 429 silences: the bot or one chat."""

    meter: Meter
    blocked_until: float = 0.0
    strikes: int = 0

    def refuse(self, now: float) -> int | None:
        """Return the whole seconds to wait, or None where there is room."""
        wait = max(self.meter.wait(now), self.blocked_until - now)
        if wait <= 0:
            self.strikes = 0
            return None
        self.strikes += 1
        if self.strikes > PATIENCE:
            wait = max(wait, min(LONGEST, 2.0 ** min(self.strikes - PATIENCE, 16)))
        self.blocked_until = max(self.blocked_until, now + wait)
        return max(1, math.ceil(wait))


class Limits:
    """The limits of one bot: overall, for paid messages, per chat and per group.

    Attributes:
        enabled: whether they hold.
        refused: how often each refused a message.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.refused: Counter[str] = Counter()
        self._overall = Scope(Bucket(*OVERALL, left=OVERALL[1], at=0.0))
        self._paid = Scope(Bucket(*PAID, left=PAID[1], at=0.0))
        self._chats: dict[int, Scope] = {}

    def take(self, chat_id: int, now: float, *, paid: bool = False) -> int | None:
        """Take one message to a chat from the budget, or return the whole seconds to wait."""
        if not self.enabled:
            return None
        scopes = {
            "paid" if paid else "overall": self._paid if paid else self._overall,
            "chat" if chat_id > 0 else "group": self._chat(chat_id, now),
        }
        waits = {name: wait for name, scope in scopes.items() if (wait := scope.refuse(now)) is not None}
        if waits:
            self.refused.update(waits.keys())
            return max(waits.values())
        for scope in scopes.values():
            scope.meter.spend(now)
        return None

    def _chat(self, chat_id: int, now: float) -> Scope:
        if chat_id not in self._chats:
            if len(self._chats) >= MAX_CHATS:
                self._forget_unused(now)
            meter = Bucket(*PER_CHAT, left=PER_CHAT[1], at=now) if chat_id > 0 else Window(*PER_GROUP)
            self._chats[chat_id] = Scope(meter)
        return self._chats[chat_id]

    def _forget_unused(self, now: float) -> None:
        # One that is as good as new is the same as none, so nothing is lost by forgetting it.
        self._chats = {
            id_: scope for id_, scope in self._chats.items() if scope.blocked_until > now or not scope.meter.unused(now)
        }
