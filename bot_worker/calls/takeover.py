"""Calls that a dead worker took from a stream and did not finish go to a living one.

A worker counts as dead once it was missing from the register at two looks a lease apart, with Redis answering in
between: a Redis that stood still lets every lease run out at once. Being wrong does no harm: the claim of a call looks
at whose entry it is.
"""

import asyncio
import contextlib
from typing import Any, Final

from bot_worker.calls import metrics
from bot_worker.calls.claims import GROUP
from bot_worker.calls.intake import Intake
from bot_worker.leading import pause
from shared.broker import Broker, BrokerUnavailable, reaching
from shared.bus import Bus
from shared.link import CommandRefused
from shared.log import get_logger
from shared.scripts import Script

MOST: Final = 100  # entries of a dead worker at a time, so that several living ones share them

# KEYS: stream; ARGV: group, consumer. A consumer with pending entries stays: with it they would be forgotten.
FORGET = Script("""
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
""")


class Takeover:
    """Looks for dead workers among the consumers of some streams.

    Args:
        broker: the open broker.
        bus: carries the scripts.
        app: name.
        worker: node id of this process.
        intakes: of the streams.
    """

    def __init__(self, broker: Broker, bus: Bus, app: str, worker: str, intakes: list[Intake]) -> None:
        self._broker = broker
        self._bus = bus
        self._app = app
        self._worker = worker
        self._intakes = intakes
        self._missing: dict[str, float] = {}
        self._log = get_logger("bot").bind(app=app)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until `stopping`.

        Args:
            stopping: set when the worker shall end.
        """
        rest = self._broker.lease_seconds / 3
        while not await pause(stopping, rest):
            try:
                for intake in self._intakes:
                    await self._look(intake)
            except BrokerUnavailable:
                self._missing.clear()

    async def retire(self) -> None:
        """Leave the streams; what is pending here is for others at once."""
        with contextlib.suppress(BrokerUnavailable):
            for intake in self._intakes:
                await self._hand_over(intake.stream)
                await FORGET.run(self._bus, (intake.stream,), GROUP, self._worker)

    async def _look(self, intake: Intake) -> None:
        try:
            found = await self._bus.call("XINFO", "CONSUMERS", intake.stream, GROUP)
        except CommandRefused as error:
            if error.code in ("NOGROUP", "ERR"):  # the intake makes the group
                return
            raise
        for raw in found:
            name = dict(zip(raw[::2], raw[1::2], strict=True))[b"name"].decode()
            if name != self._worker and await self._is_dead(name):
                await self._inherit(intake, name)

    async def _is_dead(self, name: str) -> bool:
        if await self._bus.call("EXISTS", self._broker.keys.node(name)):
            self._missing.pop(name, None)
            return False
        now = asyncio.get_running_loop().time()
        return now - self._missing.setdefault(name, now) >= self._broker.lease_seconds

    async def _inherit(self, intake: Intake, dead: str) -> None:
        count = min(MOST, intake.room)
        pending = await self._bus.call("XPENDING", intake.stream, GROUP, "-", "+", count, dead) if count else []
        ids = [entry[0] for entry in pending]
        if ids:
            idle = int(self._broker.lease_seconds * 500)  # of several that look now, the first one gets an entry
            with reaching():
                entries: Any = await self._broker.client.xclaim(intake.stream, GROUP, self._worker, idle, ids)
            metrics.inherited.labels(self._app).inc(len(entries))
            self._log.warning("calls of a worker that ended are taken over", worker=dead, calls=len(entries))
            intake.take(entries)
        elif count and await FORGET.run(self._bus, (intake.stream,), GROUP, dead):
            self._missing.pop(dead, None)

    async def _hand_over(self, stream: str) -> None:
        """Make what is pending here look old, so that nobody waits for it to become so."""
        pending = await self._bus.call("XPENDING", stream, GROUP, "-", "+", MOST, self._worker)
        ids = [entry[0] for entry in pending]
        if ids:
            old = int(self._broker.lease_seconds * 1000)
            await self._bus.call("XCLAIM", stream, GROUP, self._worker, 0, *ids, "IDLE", old, "JUSTID")
