"""`mini-apps lanes`: over how many lanes an app's updates are spread, and what waits in each."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from mini_apps.cli.choose import one_app
from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.cli.redis import opened
from mini_apps.cli.view import BAD, Cell, show
from shared.backlog import LaneNow, read_lanes
from shared.broker import Broker, BrokerUnavailable
from shared.bus import Bus
from shared.keys import AppKeys
from shared.redact import protect
from shared.settings import Settings, load
from shared.updates import LanesChanging, lanes_in_use

LARGEST = 1024  # of `bot.lanes`
LATE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Where:
    """What a command works on."""

    broker: Broker
    bus: Bus
    app: str
    settings: Settings
    node_id: str

    @property
    def keys(self) -> AppKeys:
        """The app's Redis names."""
        return self.broker.keys.app(self.app)


Action = Callable[[Where], Awaitable[None]]


def run(named: Path | None, app: str, action: Action) -> None:
    """Do something with an app's lanes or dead letters.

    Args:
        named: the settings file of the command line.
        app: the app's name; empty for the only one.
        action: what to do.

    Raises:
        Problem: Redis is not there, or the action said no.
    """
    settings = load(named)
    protect(*settings.secrets())
    name = one_app(settings, app).name
    try:
        asyncio.run(_run(settings, name, action))
    except (BrokerUnavailable, LanesChanging) as error:
        raise Problem(str(error)) from None


async def _run(settings: Settings, app: str, action: Action) -> None:
    node_id = f"cli-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(opened(settings.redis))
        bus = await stack.enter_async_context(Bus(broker, node_id))
        await action(Where(broker, bus, app, settings, node_id))


def showing(*, as_json: bool) -> Action:
    """Make the action that lists the lanes."""

    async def action(where: Where) -> None:
        count = await lanes_in_use(where.bus, where.keys)
        lanes = await read_lanes(where.broker, where.keys, count)
        if as_json:
            each = [
                {"lane": lane.lane, **asdict(lane.stream), "owner": lane.owner, "fence": lane.fence} for lane in lanes
            ]
            print(json.dumps({"app": where.app, "lanes": count, "each": each}, indent=2))
            return
        show(("lane", "waiting", "in hooks", "oldest", "owner"), [row(lane) for lane in lanes], right=("oldest",))
        total = sum(lane.stream.waiting for lane in lanes)
        print(f"\n{where.app}: {count} lanes and the fast one; {total} updates wait or are in the hooks")
        if count and count != where.settings.bot.lanes:
            print(f"the settings here say bot.lanes = {where.settings.bot.lanes}: with them no process starts")

    return action


def row(lane: LaneNow) -> tuple[object, ...]:
    """Return a lane's row."""
    stream, late = lane.stream, lane.stream.oldest_seconds > LATE_SECONDS
    oldest = Cell(f"{stream.oldest_seconds:.0f} s" if stream.waiting else "", BAD if late else "")
    owner = lane.owner or Cell("nobody" if stream.waiting else "", BAD)
    return (lane.lane, stream.waiting, stream.pending, oldest, owner)


def resizing(lanes: int) -> Action:
    """Make the action that changes the number of lanes.

    Raises:
        Problem: there cannot be so many.
    """
    if not 1 <= lanes <= LARGEST:
        raise Problem(f"there can be 1 to {LARGEST} lanes", EXIT_USAGE)

    async def action(where: Where) -> None:
        from bot_worker.resize import CannotResize, Resize

        resize = Resize(where.broker, where.bus, where.app, where.node_id)
        try:
            before = await resize.run(lanes)
        except CannotResize as error:
            raise Problem(str(error)) from None
        if before in (0, lanes):
            print(f"{where.app} has {lanes} lanes")
        else:
            print(f"{where.app} has {lanes} lanes, before {before}; updates that waited and moved: {resize.moved}")
        if where.settings.bot.lanes != lanes:
            print(f"now set bot.lanes = {lanes} in the settings of every gateway and bot worker, then start them")

    return action
