"""Leases in Redis: one owner at a time, by a key with a life time and a fence that only grows.

An owner that cannot renew stops believing in its lease by its own monotonic clock before Redis lets it expire; what it
writes meanwhile carries its fence, and scripts refuse an old one.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker

SAFETY = 0.8  # of the life time we believe ourselves; the rest covers clocks that run apart

# KEYS: lease, fence; ARGV: owner, life time in ms. Returns the fence, or 0 where somebody else holds the lease.
TAKE = """
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(redis.call('GET', KEYS[2]) or '0')
end
if owner then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
"""

# KEYS: lease; ARGV: owner. Returns 1 where it was ours.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Names:
    """The two keys of a lease; they share a slot."""

    lease: str
    fence: str


class Lease:
    """A claim on one thing by one owner.

    Args:
        broker: where it is kept; its `lease_seconds` is the life time.
        names: the keys.
        owner: the node id of this process.

    Attributes:
        fence: the number of this ownership, 0 while not held.
    """

    def __init__(self, broker: Broker, names: Names, owner: str) -> None:
        self.names = names
        self.owner = owner
        self.fence = 0
        self.seconds = float(broker.lease_seconds)
        self._client = broker.client
        self._until = 0.0
        self._take = broker.client.register_script(TAKE)
        self._release = broker.client.register_script(RELEASE)

    @property
    def held(self) -> bool:
        """Whether we may act as the owner now."""
        return self.fence > 0 and time.monotonic() < self._until

    async def take(self) -> bool:
        """Take or renew the lease; true when it is ours.

        Raises:
            redis.exceptions.RedisError: Redis did not answer; a lease already held lasts until its own end.
        """
        asked = time.monotonic()  # before the call: Redis counts from later, so we stop first
        fence = int(
            await self._take(keys=[self.names.lease, self.names.fence], args=[self.owner, int(self.seconds * 1000)])
        )
        if fence == 0:
            self.fence = 0
            return False
        self.fence = fence
        self._until = asked + self.seconds * SAFETY
        return True

    async def release(self) -> None:
        """Give it up, so that another owner need not wait for its end; silent where Redis is gone."""
        self.fence = 0
        with contextlib.suppress(*UNREACHABLE, RedisError):
            await self._release(keys=[self.names.lease], args=[self.owner])

    async def keep(self) -> None:
        """Renew until the lease is lost; returns then, before Redis can give it to another owner."""
        while self.held:
            with contextlib.suppress(*UNREACHABLE, RedisError):
                async with asyncio.timeout(self._until - time.monotonic()):  # a silent Redis would hold us longer
                    await asyncio.sleep(self.seconds / 3)
                    if not await self.take():
                        return

    @contextlib.asynccontextmanager
    async def wait(self) -> AsyncIterator[int]:
        """Wait for the lease, give its fence, and release it after the block, which must be shorter than its life."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                if await self.take():
                    break
            await asyncio.sleep(self.seconds / 10)
        try:
            yield self.fence
        finally:
            await self.release()
