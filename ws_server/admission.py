"""Whether one more socket may come in: how many there are, of whom, and how fast they come."""

from collections import Counter
from typing import TYPE_CHECKING

from shared.addresses import limit_key
from shared.rate_limit import RateLimit
from ws_server.limits import TokenBucket

if TYPE_CHECKING:
    from shared.settings.model import WsSettings


class Admission:
    """The limits on sockets of one node.

    Args:
        settings: `[ws]`.
        now: seconds of a monotonic clock.
    """

    def __init__(self, settings: "WsSettings", now: float) -> None:
        self._capacity = settings.max_connections
        self._each = settings.max_connections_per_address
        self._addresses: Counter[str] = Counter()
        self._accepts = TokenBucket(settings.accepts_per_second, now)
        self._connects = RateLimit(settings.connects_per_minute)

    def __len__(self) -> int:
        """Return how many addresses have sockets here; 0 where that is not limited."""
        return len(self._addresses)

    def beyond_reason(self, sockets: int) -> bool:
        """Whether there are so far too many sockets that a new one does not even get a handshake."""
        return bool(self._capacity and sockets > self._capacity + self._capacity // 10 + 64)

    def full(self, address: str, sockets: int) -> bool:
        """Count a socket of `address` in; whether it, one of `sockets`, is one too many."""
        if self._each:
            key = limit_key(address)
            self._addresses[key] += 1
            if self._addresses[key] > self._each:
                return True
        return bool(self._capacity and sockets > self._capacity)

    def too_fast(self, address: str, now: float) -> bool:
        """Whether a new socket of `address` is one too many in this second or minute."""
        return self._connects.take(limit_key(address), now) > 0 or not self._accepts.take(now)

    def left(self, address: str) -> None:
        """Count a socket of `address` out."""
        if self._each:
            key = limit_key(address)
            self._addresses[key] -= 1
            if self._addresses[key] <= 0:
                del self._addresses[key]
