"""The bot workers that serve one app now, and how many lanes each of them may own."""

from shared.broker import Broker
from shared.bus import Bus
from shared.scripts import Script

# KEYS: workers; ARGV: worker, life time in ms. Returns how many live workers there are, by Redis's own clock.
BEAT = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZCARD', KEYS[1])
""")


def share(lanes: int, workers: int) -> int:
    """Return how many lanes a worker may own."""
    return -(-lanes // max(1, workers))


class Crew:
    """The register of one app's workers, a sorted set by the end of their life.

    Args:
        broker: the open broker.
        bus: carries the commands.
        app: the app's name.
        worker: node id of this process.
    """

    def __init__(self, broker: Broker, bus: Bus, app: str, worker: str) -> None:
        self._bus = bus
        self._key = broker.keys.app(app).workers
        self._worker = worker
        self._life = int(broker.lease_seconds * 1000)

    async def beat(self) -> int:
        """Stay in the register and return how many are in it.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return int(await BEAT.run(self._bus, (self._key,), self._worker, self._life))

    async def others(self) -> list[str]:
        """Return the node ids of the other workers.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        members = await self._bus.call("ZRANGE", self._key, 0, -1)
        return [name for raw in members if (name := raw.decode()) != self._worker]

    async def leave(self) -> None:
        """Leave the register, so that the others take over at once.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        await self._bus.call("ZREM", self._key, self._worker)
