"""Leases in Redis: one owner at a time, by a key with a life time and a fence that only grows.

An owner that cannot renew stops believing in its lease by its own monotonic clock before Redis lets it expire; what it
writes meanwhile carries its fence, and scripts refuse an old one.
"""

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from prometheus_client import Counter
from redis.exceptions import RedisError

from shared.broker import UNREACHABLE, Broker
from shared.scripts import Script

changes = Counter(
    "mini_apps_lease_changes",
    "Leases this process got or no longer has: lane, poller, tasks, commands, broadcasts, tables, lanes (a command); "
    "taken, released, or lost: another process has it, or it was not renewed in time",
    ["lease", "event"],
)

LOOK_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.2)  # before each look whether a lease is free; the last one repeats
SAFETY = 0.8  # of the life time we believe ourselves; the rest covers clocks that run apart

# KEYS: lease, fence; ARGV: owner, life time in ms. Returns the fence, or 0 where somebody else holds the lease.
TAKE = Script("""
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(redis.call('GET', KEYS[2]) or '0')
end
if owner then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
""")

# KEYS: lease; ARGV: owner. Returns 1 where it was ours.
RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")


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
        seconds: another life time.

    Attributes:
        fence: the number of this ownership, 0 while not held.
    """

    def __init__(self, broker: Broker, names: Names, owner: str, *, seconds: float | None = None) -> None:
        self.names = names
        self.owner = owner
        self.fence = 0
        self._kind = kind_of(names.lease)
        self.seconds = float(broker.lease_seconds if seconds is None else seconds)
        self._until = 0.0
        # Not the pool of the hooks: when they use all its connections, a lease would not be renewed in time.
        self._client = broker.steady

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
        keys = (self.names.lease, self.names.fence)
        fence = int(await TAKE.ask(self._client, keys, self.owner, int(self.seconds * 1000)))
        if fence == 0:
            self._lose()
            return False
        if fence != self.fence:
            self._count("taken")
        self.fence = fence
        self._until = asked + self.seconds * SAFETY
        return True

    async def claim(self) -> bool:
        """Take the lease as `take` does, and give it back where the caller is cancelled before he knows.

        Raises:
            redis.exceptions.RedisError: Redis did not answer.
        """
        try:
            return await self.take()
        except asyncio.CancelledError:
            await self.release()
            raise

    async def release(self) -> None:
        """Give it up, so that another owner need not wait for its end; silent where Redis is gone."""
        if self.fence:
            self._count("released")
        self.fence = 0
        with contextlib.suppress(*UNREACHABLE, RedisError):
            await RELEASE.ask(self._client, (self.names.lease,), self.owner)

    async def keep(self) -> None:
        """Renew until the lease is lost; returns then, before Redis can give it to another owner."""
        while self.held:
            with contextlib.suppress(*UNREACHABLE, RedisError):
                async with asyncio.timeout(self._until - time.monotonic()):  # a silent Redis would hold us longer
                    await asyncio.sleep(self.seconds / 3)
                    if not await self.take():
                        return
        self._lose()

    def _lose(self) -> None:
        if self.fence:
            self._count("lost")
        self.fence = 0

    def _count(self, event: str) -> None:
        changes.labels(self._kind, event).inc()

    @contextlib.asynccontextmanager
    async def wait(self) -> AsyncIterator[int]:
        """Wait for the lease, give its fence, and release it after the block, which must be shorter than its life."""
        for look in itertools.count():
            with contextlib.suppress(*UNREACHABLE):
                if await self.claim():
                    break
            await asyncio.sleep(min(self.seconds / 10, LOOK_SECONDS[min(look, len(LOOK_SECONDS) - 1)]))
        try:
            yield self.fence
        finally:
            await self.release()


def kind_of(lease: str) -> str:
    """Return what a lease is about, by its key: all lanes are `lane`.

    Args:
        lease: a key such as `ma:app:{lane-3}:lease`.
    """
    name = lease.removesuffix(":lease").rpartition(":")[2].strip("{}")
    return re.sub(r"-\w+$", "", name)
