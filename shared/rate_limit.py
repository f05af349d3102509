"""A token bucket for each caller, in a table that cannot grow without end."""

from collections import OrderedDict

MOST_CALLERS = 65_536


class RateLimit:
    """Lets each caller do something so many times a minute, the first of them at once.

    Args:
        per_minute: times; 0 means no limit.
        most: callers remembered; beyond, the one that was quiet for longest is forgotten and starts afresh.

    Attributes:
        forgotten: callers dropped because the table was full.
    """

    def __init__(self, per_minute: int, *, most: int = MOST_CALLERS) -> None:
        self.forgotten = 0
        self._burst = float(per_minute)
        self._per_second = per_minute / 60
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when that was

    def __len__(self) -> int:
        """Return how many callers are remembered."""
        return len(self._buckets)

    def take(self, caller: str, now: float) -> float:
        """Take a token; return 0 when there was one, else the seconds until there is.

        Args:
            caller: whose bucket.
            now: monotonic seconds.
        """
        if not self._burst:
            return 0.0
        tokens, since = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        allowed = tokens >= 1
        self._buckets[caller] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
            self.forgotten += 1
        return 0.0 if allowed else (1 - tokens) / self._per_second
