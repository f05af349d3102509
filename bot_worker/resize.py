"""Changing the number of lanes while nothing serves the app: every update that waits goes to the lane it belongs to.

The number in Redis says `16>32` meanwhile, so no process starts. Whatever cuts it off, it may be run again: an update
is put into its new lane by a script that remembers where it came from, and only then taken out of the old one. A lane
is worked off from its oldest entry, so the updates of a chat keep their order.
"""

from collections import defaultdict
from typing import Any, Final

from bot_worker.leading import while_held
from shared.broker import Broker
from shared.bus import Bus
from shared.leases import Lease, Names
from shared.nodes import live_nodes
from shared.scripts import Script
from shared.streams import GROUP
from shared.updates import CHANGING, SEEN_SECONDS, BadUpdate, lane_of, parse_update

PAGE: Final = 500  # entries of one read
REMEMBERED_SECONDS: Final = 24 * 3600
SERVING: Final = ("gateway", "bot")

# KEYS: updates, placed, tries of the new lane; ARGV: where it comes from, life in s, tries, then the entry's fields.
PLACE = Script("""
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 0 end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4))
redis.call('HSET', KEYS[2], ARGV[1], 1)
redis.call('EXPIRE', KEYS[2], ARGV[2])
if ARGV[3] ~= '0' then redis.call('HSET', KEYS[3], id, ARGV[3]) end
return 1
""")

# KEYS: updates, tries of the old lane; ARGV: group, entry.
REMOVE = Script("""
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
return 1
""")


class CannotResize(Exception):
    """The lanes stay as they are; the text says what to do."""


class Resize:
    """One change of an app's number of lanes.

    Args:
        broker: the open broker.
        bus: carries the commands.
        app: the app's name.
        owner: node id of this process.

    Attributes:
        moved: updates that went to another lane.
    """

    def __init__(self, broker: Broker, bus: Bus, app: str, owner: str) -> None:
        self.moved = 0
        self._broker = broker
        self._bus = bus
        self._keys = broker.keys.app(app)
        self._owner = owner

    async def run(self, lanes: int) -> int:
        """Change the number of lanes and return how many there were.

        Args:
            lanes: how many there shall be.

        Raises:
            CannotResize: gateways or bot workers run, or somebody else changes the lanes.
            BrokerUnavailable: Redis did not answer; run it again.
        """
        keys = self._keys
        lease = Lease(self._broker, Names(keys.lease("lanes"), keys.fence("lanes")), self._owner)
        if not await lease.claim():
            raise CannotResize(
                "somebody else changes the lanes now, or did until a moment ago; try again in 10 seconds"
            )
        before = 0

        async def work() -> None:
            nonlocal before
            before = await self._work(lanes)

        if not await while_held(lease, work()):
            raise CannotResize(f"Redis was away too long; nothing is lost, run `mini-apps lanes resize {lanes}` again")
        return before

    async def _work(self, lanes: int) -> int:
        kept: bytes = await self._bus.call("GET", self._keys.lanes) or b""
        before, _, after = kept.partition(CHANGING)
        if after and int(after) != lanes:
            raise CannotResize(
                f"a change to {int(after)} lanes was interrupted: finish it first with "
                f"`mini-apps lanes resize {int(after)}`"
            )
        if before and int(before) != lanes:
            await self._bus.call("SET", self._keys.lanes, before + CHANGING + b"%d" % lanes)
        await self._nobody_serves(kept)  # whoever starts from now on sees that the number changes
        if before and int(before) != lanes:
            for lane in range(int(before)):
                await self._spread(lane, lanes)
            await self._share_seen(lanes)
            await self._forget(range(lanes, int(before)))
        await self._bus.call("SET", self._keys.lanes, lanes)
        return int(before or 0)

    async def _nobody_serves(self, kept: bytes) -> None:
        live = [node for kind in SERVING for node in await live_nodes(self._broker, kind)]
        if not live:
            return
        if kept and CHANGING not in kept:
            await self._bus.call("SET", self._keys.lanes, kept)
        names = ", ".join(sorted(node.id for node in live))
        raise CannotResize(
            f"stop every gateway and bot worker first (Telegram keeps what comes meanwhile); these run, or were killed "
            f"less than {self._broker.lease_seconds:g} s ago: {names}"
        )

    async def _spread(self, lane: int, lanes: int) -> None:
        """Move what does not belong into a lane any more, oldest first."""
        after = "-"
        while True:
            page = await self._bus.call("XRANGE", self._keys.updates(lane), after, "+", "COUNT", PAGE)
            for entry, fields in page:
                target = _target(fields, lanes, lane)
                if target != lane:
                    await self._move(lane, target, entry, fields)
                    self.moved += 1
            if len(page) < PAGE:
                return
            after = f"({page[-1][0].decode()}"

    async def _move(self, lane: int, target: int, entry: bytes, fields: list[bytes]) -> None:
        keys = self._keys
        tries = await self._bus.call("HGET", keys.tries(lane), entry) or 0
        names = (keys.updates(target), keys.placed(target), keys.tries(target))
        await PLACE.run(self._bus, names, f"{lane} {entry.decode()}", REMEMBERED_SECONDS, tries, *fields)
        await REMOVE.run(self._bus, (keys.updates(lane), keys.tries(lane)), GROUP, entry)

    async def _share_seen(self, lanes: int) -> None:
        """Let every lane know which updates any lane has taken: Telegram may repeat one, and it may come to another."""
        blocks: defaultdict[str, int] = defaultdict(int)
        async for name in self._broker.client.scan_iter(f"{self._keys.base}{{lane-*}}:seen:*", count=1000):
            raw: bytes = await self._bus.call("GET", name) or b""
            blocks[name.decode().rpartition(":")[2]] |= int.from_bytes(raw, "little")
        for block, bits in blocks.items():
            merged = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
            for lane in range(lanes):
                await self._bus.call("SET", self._keys.seen_block(lane, block), merged, "EX", SEEN_SECONDS)

    async def _forget(self, lanes: range) -> None:
        """Delete what is left of lanes there are no more; their fences stay, so that they never count from 1 again."""
        for lane in lanes:
            keys = self._keys
            await self._bus.call("DEL", keys.updates(lane))
            await self._bus.call("DEL", keys.tries(lane))
            await self._bus.call("DEL", keys.placed(lane))
            async for name in self._broker.client.scan_iter(keys.seen_block(lane, "*"), count=1000):
                await self._bus.call("DEL", name)


def _target(fields: list[Any], lanes: int, lane: int) -> int:
    try:
        return lane_of(parse_update(dict(zip(fields[::2], fields[1::2], strict=True)).get(b"update", b"")), lanes)
    except BadUpdate:  # of no chat: anywhere will do
        return min(lane, lanes - 1)
