"""Everything `mini-apps top` shows, read at one moment."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from mini_apps.bot_status import BotReport, read_report
from shared.backlog import Backlog, LaneNow, read_backlog
from shared.broker import Broker
from shared.nodes import Node, live_nodes


@dataclass(frozen=True, slots=True)
class AppNow:
    """One app.

    Attributes:
        backlog: what waits for it.
        bot: how its bot is doing.
    """

    backlog: Backlog
    bot: BotReport

    @property
    def worst(self) -> LaneNow | None:
        """The lane whose oldest update is the oldest, None where nothing waits."""
        waiting = [lane for lane in self.backlog.lanes if lane.stream.waiting]
        return max(waiting, key=lambda lane: lane.stream.oldest_seconds, default=None)

    @property
    def orphans(self) -> int:
        """Lanes that nobody has."""
        return sum(not lane.owner for lane in self.backlog.lanes)

    def sum(self, what: str) -> int:
        """Add up a number of all lanes: `waiting`, `pending` or `lag`."""
        return sum(getattr(lane.stream, what) for lane in self.backlog.lanes)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A deployment at one moment.

    Attributes:
        place: the Redis it is in.
        prefix: of its keys.
        taken: unix seconds.
        redis_ms: how long Redis took for one question.
        nodes: its processes.
        apps: by their names.
    """

    place: str
    prefix: str
    taken: float
    redis_ms: float
    nodes: list[Node]
    apps: dict[str, AppNow]

    def to_json(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "redis": self.place,
            "prefix": self.prefix,
            "time": round(self.taken, 3),
            "redis_ms": self.redis_ms,
            "nodes": [asdict(node) for node in self.nodes],
            "apps": {name: _app(app) for name, app in self.apps.items()},
        }


async def take(broker: Broker, apps: list[str]) -> Snapshot:
    """Read what there is now; about forty commands for an app of 16 lanes.

    Raises:
        redis.exceptions.RedisError: Redis did not answer.
    """
    asked = time.perf_counter()
    await broker.client.exists(broker.keys.nodes)
    took = round((time.perf_counter() - asked) * 1000, 2)
    nodes = await live_nodes(broker)
    found = {
        name: AppNow(await read_backlog(broker, name), await read_report(broker.own, broker.keys, name))
        for name in apps
    }
    return Snapshot(broker.address, broker.settings.prefix, time.time(), took, nodes, found)


def _app(app: AppNow) -> dict[str, Any]:
    backlog = app.backlog
    lanes = [{"lane": lane.lane, **asdict(lane.stream), "owner": lane.owner} for lane in backlog.lanes]
    return {
        "bot": {"status": app.bot.status.value, "reason": app.bot.reason, "wait": app.bot.wait},
        "workers": backlog.workers,
        "waiting": app.sum("waiting"),
        "lag": app.sum("lag"),
        "lanes": lanes,
        "changing": backlog.changing,
        "calls": {name: asdict(stream) for name, stream in backlog.calls.items()},
        "dead": backlog.dead,
    }
