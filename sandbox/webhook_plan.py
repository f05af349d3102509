"""Which updates may be posted to a webhook now: parallel between chats, in order within one, with backoff.

Source: https://core.telegram.org/bots/api#setwebhook and the delivery order of the open-source Bot API server.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.config import RetryPolicy
from sandbox.updates import Update


@dataclass(frozen=True, slots=True)
class Wait:
    """A failing update holds up its chat until a time."""

    failures: int
    until: float


class DeliveryPlan:
    """The deliveries of one webhook; a chat has at most one on the way.

    Args:
        retry: seconds between tries.
        connections: deliveries at the same time.
    """

    def __init__(self, retry: RetryPolicy, connections: int) -> None:
        self._retry = retry
        self._connections = connections
        self._busy: set[int] = set()
        self._waits: dict[int, Wait] = {}

    def due(self, updates: Iterable[Update], now: float) -> list[Update]:
        """Return what is to be posted now, and count it as on the way; `updates` are oldest first."""
        result: list[Update] = []
        if len(self._busy) >= self._connections:
            return result
        skipped = {key for key, wait in self._waits.items() if wait.until > now} | self._busy
        for update in updates:
            if update.order_key in skipped:
                continue
            result.append(update)
            skipped.add(update.order_key)
            self._busy.add(update.order_key)
            if len(self._busy) >= self._connections:
                break
        return result

    def next_retry(self) -> float | None:
        """Return when the first waiting chat may be tried again, or `None`."""
        return min((wait.until for key, wait in self._waits.items() if key not in self._busy), default=None)

    def delivered(self, update: Update) -> None:
        """Free the chat for its next update."""
        self._busy.discard(update.order_key)
        self._waits.pop(update.order_key, None)

    def failed(self, update: Update, now: float, retry_after: float | None = None) -> None:
        """Hold the chat up: as long as the server asked, else longer with each failure."""
        self._busy.discard(update.order_key)
        before = self._waits.get(update.order_key)
        failures = before.failures + 1 if before else 1
        delay = self._retry.delay(failures) if retry_after is None else retry_after
        self._waits[update.order_key] = Wait(failures, now + delay)
