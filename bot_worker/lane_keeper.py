"""Which lanes of an app this worker owns: a fair share, taken by lease, given back when other workers come.

Guarantee: a lane has one owner by fence. After an interruption of its own connection a worker claims nothing for one
lease interval, because a Redis that stood still lets every lease run out at once.
"""

import asyncio
import contextlib
import math
import zlib
from collections.abc import Callable
from time import monotonic
from typing import Final

from redis.exceptions import RedisError

from bot_worker import metrics
from bot_worker.crew import Crew, share
from bot_worker.lane import Lane
from bot_worker.leading import while_held
from mini_apps.mesh import Mesh
from shared.broker import UNREACHABLE, BrokerUnavailable
from shared.keys import FAST_LANE, AppKeys, lane_name
from shared.leases import Lease, Names
from shared.log import get_logger
from shared.streams import LaneLost

FAST_LEASE_SECONDS: Final = 3.0  # at most: what waits in the fast lane is worth nothing after ten

MakeLane = Callable[[int, int], Lane]


class LaneKeeper:
    """Takes, renews and gives back the lanes of one app.

    Args:
        mesh: the process; its node id owns the lanes.
        crew: the app's workers.
        keys: of the app.
        make_lane: makes the lane of a number and a fence.
    """

    def __init__(self, mesh: Mesh, crew: Crew, keys: AppKeys, make_lane: MakeLane) -> None:
        self._broker = mesh.broker
        self._clock = mesh.clock
        self._crew = crew
        self._keys = keys
        self._worker = mesh.node_id
        self._lanes = lanes = mesh.settings.bot.lanes
        self._make_lane = make_lane
        self._owned: dict[int, tuple[Lane, asyncio.Task[None]]] = {}
        self._quiet_until = 0.0
        # So that workers that start together begin in different places.
        first = zlib.crc32(mesh.node_id.encode()) % lanes
        self._order = [(first + step) % lanes for step in range(lanes)]
        self._log = get_logger("bot").bind(app=keys.app)

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep a fair share of the lanes until `stopping`, then give each back when its running hooks are done.

        Cancelling it cancels the hooks.
        """
        try:
            while not stopping.is_set():
                await self._balance()
                await self._clock.wait(stopping, self._broker.lease_seconds / 6, late=math.inf)
            for lane, _ in self._owned.values():
                lane.stop()
            with contextlib.suppress(BrokerUnavailable):
                await self._crew.leave()
            await asyncio.gather(*self._tasks())
        finally:
            for task in (tasks := self._tasks()):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(BrokerUnavailable):  # where it was cancelled it is still in the register
                await self._crew.leave()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for _, task in self._owned.values()]

    async def _balance(self) -> None:
        asked = monotonic()
        try:
            fair = share(self._lanes, await self._crew.beat())
            self._give_back(len(self._shared()) - fair)
            if asked >= self._quiet_until:
                await self._claim(fair)
        except (*UNREACHABLE, RedisError, BrokerUnavailable) as error:
            self._log.warning("lanes cannot be claimed; Redis did not answer", error=str(error) or type(error).__name__)
            self._quiet_until = monotonic() + self._broker.lease_seconds
        if monotonic() - asked > self._broker.lease_seconds / 3:
            self._quiet_until = monotonic() + self._broker.lease_seconds

    def _shared(self) -> list[Lane]:
        """Give the lanes that count for a fair share: all but the fast one, which belongs to whoever has it."""
        return [lane for number, (lane, _) in self._owned.items() if number != FAST_LANE]

    def _give_back(self, surplus: int) -> None:
        for lane in self._shared()[:surplus] if surplus > 0 else ():
            lane.stop()

    async def _claim(self, fair: int) -> None:
        taken = []
        for number in (FAST_LANE, *self._order):
            if number != FAST_LANE and len(self._shared()) >= fair:
                break
            if number not in self._owned and await self._take(number):
                taken.append(number)
        if taken:
            names = [lane_name(number) for number in sorted(taken)]
            self._log.info("lanes taken", taken=names, owned=len(self._owned), fair_share=fair)

    async def _take(self, number: int) -> bool:
        names = Names(self._keys.lane_lease(number), self._keys.lane_fence(number))
        seconds = self._broker.lease_seconds
        seconds = min(seconds, FAST_LEASE_SECONDS) if number == FAST_LANE else seconds
        lease = Lease(self._broker, names, self._worker, seconds=seconds)
        if not await lease.claim():
            return False
        self._start(number, lease)
        return True

    def _start(self, number: int, lease: Lease) -> None:
        lane = self._make_lane(number, lease.fence)
        task = asyncio.create_task(self._own(number, lane, lease), name=f"lane-{lane_name(number)}")
        self._owned[number] = (lane, task)
        metrics.lanes.labels(self._keys.app).inc()

    async def _own(self, number: int, lane: Lane, lease: Lease) -> None:
        """Work a lane off while the lease is ours."""
        try:
            if not await while_held(lease, lane.run()):
                self._log.warning("lane lost: its lease was not renewed", lane=lane_name(number))
        except* LaneLost:
            self._log.info("lane lost to another worker", lane=lane_name(number))
        except* Exception as errors:  # noqa: BLE001 - one broken lane must not take the others along
            self._log.error("a lane ended by an error; it is taken again", lane=lane_name(number), exc_info=errors)
        finally:
            del self._owned[number]
            metrics.lanes.labels(self._keys.app).dec()
