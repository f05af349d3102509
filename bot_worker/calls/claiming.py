"""How a call gets its claim: at once, from a worker that died with it, or not at all."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from bot_worker.calls.claims import Claim, Claims, Place
from shared.broker import BrokerUnavailable, reconnect_delay
from shared.calls import CallResult

LOOK_SECONDS: Final = 0.25  # between looks at a call that another worker is making


class EntryLost(Exception):
    """Another worker has taken the call's entry over; it is none of ours any more."""


class Holding(Enum):
    """How a claim became ours."""

    NEW = "new"
    INHERITED = "inherited"
    """From a worker that ended under it, so the call may have been made."""


class Claiming:
    """Claims one call.

    Args:
        claims: of the app.
        id: of the call.
        place: its entry, where it came by a stream.
        alive: tells whether a worker lives.
        lease: seconds for which a worker must be gone to count as dead, because a Redis that stood still lets every
            lease run out at once.
    """

    def __init__(
        self, claims: Claims, id: str, place: Place | None, alive: Callable[[str], Awaitable[bool]], lease: float
    ) -> None:
        self._claims = claims
        self._id = id
        self._place = place
        self._alive = alive
        self._lease = lease
        self._asked = False
        self._gone_since = 0.0

    async def run(self, until: float) -> Holding | CallResult:
        """Claim the call, waiting for another worker that is making it.

        Args:
            until: in the loop's time.

        Returns:
            How it became ours, or the result it has already.

        Raises:
            EntryLost: its entry has another owner.
            BrokerUnavailable: Redis did not answer until then.
        """
        now = asyncio.get_running_loop().time
        for attempt in itertools.count():
            try:
                claim = await self._claims.claim(self._id, self._place)
                found = self._decided(claim) or await self._from_another(claim, now())
            except BrokerUnavailable:
                if now() >= until:
                    raise
                self._asked, self._gone_since = True, 0.0
                await asyncio.sleep(reconnect_delay(attempt))
                continue
            if found is not None:
                return found
            if now() >= until:
                return _told("failed", "another bot worker is still making it")
            await asyncio.sleep(LOOK_SECONDS)
        raise AssertionError  # count() never ends

    def _decided(self, claim: Claim) -> Holding | CallResult | None:
        """Return what is clear; None where another worker has the claim."""
        if claim.verdict == "lost":
            raise EntryLost(self._id)
        if claim.verdict == "late":
            return _told("late", "no bot worker came to it before its deadline")
        if claim.state is None:
            return Holding.NEW
        if claim.state.result is not None:
            return claim.state.result
        if claim.state.worker == self._claims.worker:
            # By the question that Redis did not answer; else by a call of ours that was cut off.
            return Holding.NEW if self._asked else Holding.INHERITED
        return None

    async def _from_another(self, claim: Claim, now: float) -> Holding | None:
        holder = claim.state.worker if claim.state is not None else ""
        if await self._alive(holder):
            self._gone_since = 0.0
            return None
        self._gone_since = self._gone_since or now
        if now - self._gone_since < self._lease or not await self._claims.inherit(self._id, holder):
            return None
        return Holding.INHERITED


def _told(outcome: str, reason: str) -> CallResult:
    return CallResult(outcome, 0, reason.encode())  # type: ignore[arg-type]  # one of the outcomes
