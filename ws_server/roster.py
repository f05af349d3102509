"""Who of one app is on this node: it holds its users, and does for dead nodes what they cannot do any more."""

import asyncio
import contextlib
import math
import secrets
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter

from mini_apps.app import App
from mini_apps.channels import options_of
from mini_apps.hooks import call
from shared import messages, presence
from shared.broker import BrokerUnavailable
from shared.bus_frames import Message, pack
from shared.codec import encode_json
from shared.presence import EVERYWHERE, Seat, Vigil
from ws_server.session import Stage

if TYPE_CHECKING:
    from shared.bus import Bus
    from ws_server.connection import Connection
    from ws_server.node import Node

__all__ = ["Roster", "wanted"]

PAUSE = 1.0  # seconds between two looks at who is due, less where leases are short
BATCH = 200  # seats worked on side by side
CLAIM_SECONDS = 5.0  # after which another node takes over what one began
FAREWELL_SECONDS = 2.0  # that a stopping node gives itself; others do the rest when its lease is over
MOST_DEAD = 10  # owners taken over at a time
UNSURE = ""

changes = Counter(
    "mini_apps_ws_presence_changes",
    "Changes of presence that the node told Redis: join, leave (of a channel), online, offline (of the app)",
    ["event"],
)

log = structlog.get_logger("presence")


class Roster:
    """Who of an app is on this node, and what Redis was told of it.

    For each seat one task at a time brings Redis to what is the case here; what fails is tried again at the next look.

    Args:
        node: the node.
        bus: the open bus.
        app: the app.
    """

    def __init__(self, node: "Node", bus: "Bus", app: App) -> None:
        self._node = node
        self._bus = bus
        self._app = app
        self._keys = app.keys
        self._clock = node.clock
        self._grace = float(app.settings.presence_grace)
        self._vigil = Vigil(node.broker.lease_seconds)
        self._pause = min(PAUSE, self._vigil.life / 6)
        self._owner = UNSURE
        self._lived = False  # Redis knows the owner
        self._members: dict[Seat, set[Connection]] = {}
        self._told: dict[Seat, str] = {}
        self._untold: set[Seat] = set()
        self._leaving: dict[Seat, float] = {}  # seconds of grace
        self._busy: dict[Seat, asyncio.Task[None]] = {}
        self._dead: set[str] = set()
        self._abandoned: set[str] = set()
        self._waking = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._touch: asyncio.Task[None] | None = None
        self._offline: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Get an owner id that lives, and keep it alive.

        Raises:
            BrokerUnavailable: Redis did not confirm.
        """
        await self._renew()
        self._tasks = [self._node.spawn(self._keep()), self._node.spawn(self._look())]

    def wants(self, channel: str) -> bool:
        """Whether who is in a channel is of interest."""
        if channel == EVERYWHERE:
            return _hears_offline(self._app)
        return options_of(channel, self._app.channels).presence

    async def enter(self, connection: "Connection", channel: str) -> None:
        """Count a client in.

        Raises:
            BrokerUnavailable: Redis did not confirm.
        """
        seat = Seat(connection.user_id, channel)
        self._members.setdefault(seat, set()).add(connection)
        self._leaving.pop(seat, None)
        if self._told.get(seat) == self._owner and seat not in self._busy:
            return  # another client of the user is here
        if not self._vigil.current(self._node.now()):
            await asyncio.shield(self._touching())
            if not self._vigil.current(self._node.now()):
                raise BrokerUnavailable("this node was out of touch with Redis for a moment")
        await asyncio.shield(self._settle(seat))
        if self._told.get(seat) != self._owner and connection in self._members.get(seat, ()):
            raise BrokerUnavailable("Redis did not confirm that the user is present")

    def leave(self, connection: "Connection", channel: str) -> None:
        """Count a client out."""
        seat = Seat(connection.user_id, channel)
        members = self._members.get(seat)
        if members is None:
            return
        members.discard(connection)
        if not members:
            del self._members[seat]
            self._untold.discard(seat)
            self._leaving[seat] = 0.0 if connection.stage is Stage.READY else self._grace

    def missed(self) -> None:
        """Tell Redis all anew: it may have lost something."""
        self._vigil.interrupted()
        self._waking.set()

    async def aclose(self) -> None:
        """Let everybody go, as others would do after this node's death."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(BrokerUnavailable, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._release(self._owner)

    # What Redis is told.

    def _settle(self, seat: Seat) -> "asyncio.Task[None]":
        task = self._busy.get(seat)
        if task is None:
            task = self._busy[seat] = self._node.spawn(self._bring(seat))
        return task

    async def _bring(self, seat: Seat) -> None:
        """Tell Redis of a seat until it knows what is the case."""
        try:
            while self._told.get(seat) != (self._owner if seat in self._members else None):
                await self._tell(seat)
            self._untold.discard(seat)
        except BrokerUnavailable:
            if seat in self._members:
                self._untold.add(seat)
        finally:
            del self._busy[seat]
            if seat not in self._told and seat not in self._members:
                self._leaving.pop(seat, None)

    async def _tell(self, seat: Seat) -> None:
        owner = self._owner
        if seat in self._members:
            self._told[seat] = UNSURE  # whatever becomes of the call, it may have reached Redis
            connection = next(iter(self._members[seat]))
            user = encode_json(_user(connection).to_json())
            frame = self._news(seat.channel, "join", connection.client_id)
            if await presence.enter(self._bus, self._keys, seat, owner, user, frame):
                changes.labels("join" if seat.channel else "online").inc()
            if owner == self._owner:
                self._told[seat] = owner
        else:
            await presence.exit_(
                self._bus, self._keys, seat, owner, self._leaving.get(seat, self._grace), now_ms=self._now_ms
            )
            if owner == self._owner:  # else `_renew` has forgotten what the old one was told
                self._told.pop(seat, None)

    def _news(self, channel: str, event: Any, exclude: str | None = None) -> bytes | None:
        """Return the news up to the JSON of the user, which a script appends; None where nobody is told."""
        if channel == EVERYWHERE or not options_of(channel, self._app.channels).announce:
            return None
        body = encode_json(messages.presence(channel, event, None)).removesuffix(b"null}")
        return pack(Message(body, exclude=exclude))

    # Looking after ourselves.

    async def _keep(self) -> None:
        while True:
            await self._clock.wait(self._waking, self._pause, late=self._vigil.life / 4)
            self._waking.clear()
            with contextlib.suppress(BrokerUnavailable):
                async with self._renewing:
                    await self._renew()

    def _touching(self) -> "asyncio.Task[None]":
        """Get in touch with Redis again after an interruption, once for all who come meanwhile."""
        if self._touch is None or self._touch.done():
            self._touch = self._node.spawn(self._renew_now())
        return self._touch

    async def _renew_now(self) -> None:
        with contextlib.suppress(BrokerUnavailable):
            async with self._renewing:
                if not self._vigil.current(self._node.now()):
                    await self._renew()

    async def _renew(self) -> None:
        asked = self._node.now()
        if not self._vigil.current(asked):
            # Others may have let our users go in the name of this owner, or be about to.
            if self._lived:
                self._abandoned.add(self._owner)
            self._lived = False
            self._owner = f"{self._node.id}.{secrets.token_hex(4)}"
            self._told.clear()
            self._untold = set(self._members)
        most_dead = MOST_DEAD if self._vigil.calm(asked) else 0
        dead = await presence.renew(
            self._bus, self._keys, self._owner, self._vigil.life, most_dead, now_ms=self._now_ms
        )
        self._lived = True
        self._vigil.renewed(asked, self._node.now())
        if self._calm:  # else the answer took so long that they may have looked dead only to us
            self._dead.update(dead)
        for owner in list(self._abandoned):
            await presence.abandon(self._bus, self._keys, owner)
            self._abandoned.discard(owner)

    # Looking after others.

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(self._pause, late=math.inf)
            try:
                await self._settle_all()
                for owner in list(self._dead):
                    self._dead.discard(owner)
                    if self._calm:
                        await self._release(owner)
                while self._calm and await self._sweep(self._keys.leaving, CLAIM_SECONDS):
                    pass
            except BrokerUnavailable as error:
                self._dead.clear()  # they are found again
                log.warning("presence waits for Redis", app=self._app.name, error=str(error))
            if _hears_offline(self._app) and (self._offline is None or self._offline.done()):
                self._offline = self._node.spawn(self._sweep_offline())

    @property
    def _now_ms(self) -> int:
        return self._clock.redis_ms()

    @property
    def _calm(self) -> bool:
        return self._vigil.calm(self._node.now())

    async def _settle_all(self) -> None:
        seats = [*self._untold, *self._leaving]
        for start in range(0, len(seats), BATCH):
            if not self._vigil.current(self._node.now()):
                return
            await asyncio.wait([self._settle(seat) for seat in seats[start : start + BATCH]])

    async def _release(self, owner: str) -> None:
        """Let go what an owner held."""
        count = 0
        while seats := await presence.held(self._bus, self._keys, owner, BATCH):
            await _all(
                presence.exit_(self._bus, self._keys, seat, owner, self._grace, now_ms=self._now_ms) for seat in seats
            )
            count += len(seats)
        await presence.bury(self._bus, self._keys, owner)
        if count:
            log.info("let the users of a node go", app=self._app.name, node=owner, users=count)

    async def _sweep_offline(self) -> None:
        with contextlib.suppress(BrokerUnavailable):
            while self._calm and await self._sweep(self._keys.online_leaving, CLAIM_SECONDS + self._hook_seconds):
                pass

    @property
    def _hook_seconds(self) -> float:
        return float(self._app.settings.handler_timeout)

    async def _sweep(self, queue: str, seconds: float) -> bool:
        """Take those out who are due; return whether there may be more."""
        claim = await presence.claim(self._bus, queue, BATCH, seconds, now_ms=self._now_ms)
        if not self._calm:  # the answer took long; they come again when the claim is over
            return False
        await _all(self._part(seat) for seat in claim.seats)
        if claim.seats:
            await presence.done(self._bus, claim, claim.seats)
        return len(claim.seats) == BATCH

    async def _part(self, seat: Seat) -> None:
        news = self._news(seat.channel, "leave")
        verdict = await presence.leave(self._bus, self._keys, seat, news, now_ms=self._now_ms)
        if verdict == "left":
            changes.labels("leave" if seat.channel else "offline").inc()
        if seat.channel == EVERYWHERE and verdict != "present":
            await self._tell_app(seat.user)

    async def _tell_app(self, user: int) -> None:
        try:
            async with self._clock.timeout(self._hook_seconds or None):
                await call(self._app.on_user_offline, user)
        except Exception:
            log.exception("on_user_offline did not finish", app=self._app.name)


def wanted(app: App) -> bool:
    """Whether it is of interest who of an app is on this node."""
    return _hears_offline(app) or any(options.presence for options in app.channels.values())


def _hears_offline(app: App) -> bool:
    return type(app).on_user_offline is not App.on_user_offline


def _user(connection: "Connection") -> Any:
    assert connection.inbox is not None  # noqa: S101 - it is counted in only after its login
    return connection.inbox.client.user


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it, also when some of it fails; then raise the first failure."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
