"""How fast one client may talk, and how fast clients may come."""


class TokenBucket:
    """So many messages, or new clients, a second, with a burst of twice that.

    Args:
        rate: per second; 0 means no limit.
        now: seconds of a monotonic clock.
    """

    __slots__ = ("_stamp", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = 2.0 * rate
        self._stamp = now

    def take(self, now: float) -> bool:
        """Use up one; false when there is none left."""
        if self.rate == 0:
            return True
        self._tokens = min(2.0 * self.rate, self._tokens + (now - self._stamp) * self.rate)
        self._stamp = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
