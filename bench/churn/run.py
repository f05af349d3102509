"""The churn run itself: who does what when, and when it is over."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.churn.app import HALL
from bench.churn.crowd import TOKEN, Crowd
from bench.churn.nodes import NodeProcess, Nodes
from mini_apps import App
from mini_apps.database import Database
from mini_apps.loading import load_app
from mini_apps.mesh import Mesh
from shared.broker import Broker
from shared.bus import Bus
from shared.settings import Settings, load

TO_HALL = 100  # each hundredth message goes to everybody
STEP_SECONDS = 0.05
SETTLE_SECONDS = 180.0  # that clients may take to come back and catch up when all is published


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is.

    Attributes:
        clients: each a user of its own, in two rooms and in the hall.
        messages: published in all.
        rooms: channels with history beside the hall.
        seconds: over which the messages are published.
        churn: share of the clients that leave and come back each second.
        kill_at: share of the time after which one of the two nodes is killed; the other is drained at `drain_at`.
        drain_at: likewise.
    """

    clients: int = 2_000
    messages: int = 20_000
    rooms: int = 200
    seconds: float = 60.0
    churn: float = 0.1
    kill_at: float = 0.3
    drain_at: float = 0.65

    def rooms_of(self, client: int) -> list[str]:
        """Return the two rooms of a client; each room gets as many members as any other."""
        first = client % self.rooms
        second = (first + 1 + client // self.rooms % (self.rooms - 1)) % self.rooms
        return [f"room:{first}", f"room:{second}"]

    def channel_of(self, message: int) -> str:
        """Return where a message goes."""
        return HALL if message % TO_HALL == 0 else f"room:{message * 7919 % self.rooms}"


@dataclass(slots=True)
class Course:
    """What happened in a run besides what the clients saw.

    Attributes:
        times: seconds that the parts of the run took.
        exits: exit codes of nodes that were drained.
        missing: messages that clients had still not got at the end.
        away: clients that were not connected at the end.
    """

    times: dict[str, float] = field(default_factory=dict)
    exits: list[int | None] = field(default_factory=list)
    missing: int = 0
    away: int = 0


class Run:
    """One churn run.

    Args:
        size: how large.
        folder: for settings, logs and the database.
        redis_url: of a real server.
        say: shows a line of progress.
        prefix: of the keys.
    """

    def __init__(
        self, size: Size, folder: Path, redis_url: str, say: Callable[[str], None], *, prefix: str = "churn"
    ) -> None:
        self.size = size
        self.course = Course()
        self.crowd = Crowd([[*size.rooms_of(number), HALL] for number in range(size.clients)], self._addresses)
        self._folder = folder
        self._say = say
        self._started = time.monotonic()
        self._replaced = asyncio.Event()
        self._nodes: Nodes | None = None
        self._settings = self._write_settings(redis_url, prefix)

    async def run(self) -> None:
        """Do all of it.

        Raises:
            MeasurementFailed: a node did not start.
        """
        async with contextlib.AsyncExitStack() as stack:
            broker = await stack.enter_async_context(Broker(self._settings.redis))
            bus = await stack.enter_async_context(Bus(broker, "churn-publisher"))
            database = Database(self._settings.database.url.get_secret_value(), self._settings.folder)
            stack.push_async_callback(database.aclose)
            mesh = Mesh(self._settings, broker, bus, database, "churn-publisher", "cli")
            app = load_app("churn", self._settings.apps["churn"], mesh)
            self._nodes = nodes = Nodes(broker, self._folder / "mini-apps.json")
            await stack.enter_async_context(nodes.watched())
            with self._timed("start two nodes"):
                pair = await asyncio.gather(nodes.start("ws-1"), nodes.start("ws-2"))
            await stack.enter_async_context(self.crowd.living())
            with self._timed("first logins, and into three channels each"):
                await self.crowd.all_in()
            await self._days_work(app, nodes, pair)
            await self._last_round(app)
            self._balance()

    def _write_settings(self, redis_url: str, prefix: str) -> Settings:
        file = self._folder / "mini-apps.json"
        settings = {
            "log": {"level": "info", "format": "json"},
            "redis": {"url": redis_url, "prefix": prefix},
            "database": {"url": f"sqlite+aiosqlite:///{self._folder}/churn.sqlite"},
            "apps": {"churn": {"class": "bench.churn.app:Churn", "bot-token": TOKEN}},
        }
        file.write_text(json.dumps(settings))
        return load(file, {})

    @contextlib.contextmanager
    def _timed(self, what: str) -> Any:
        began = time.monotonic()
        self._note(what)
        yield
        self.course.times[what] = round(time.monotonic() - began, 2)
        self._note(f"{what}: {self.course.times[what]:.1f} s")

    def _note(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._started:5.1f} s  {text}")

    def _addresses(self) -> list[tuple[str, int]]:
        return self._nodes.addresses() if self._nodes is not None else []

    async def _come_and_go(self) -> None:
        """Let clients leave in small lots."""
        due = 0.0
        while True:
            await asyncio.sleep(STEP_SECONDS)
            due += self.size.clients * self.size.churn * STEP_SECONDS
            due -= self.crowd.leave(int(due))

    # Messages.

    async def _publish_all(self, app: App) -> None:
        began, sent, size = time.monotonic(), 0, self.size
        while sent < size.messages:
            await asyncio.sleep(STEP_SECONDS)
            share = (time.monotonic() - began) / size.seconds
            due = min(size.messages, int(share * size.messages) + 1)
            await self.crowd.publish(app, [size.channel_of(number) for number in range(sent, due)])
            sent = due

    # What happens to them.

    async def _days_work(self, app: App, nodes: Nodes, pair: tuple[NodeProcess, NodeProcess]) -> None:
        churning = asyncio.create_task(self._come_and_go())
        telling = asyncio.create_task(self._tell())
        try:
            with self._timed("publish while clients come and go"):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._publish_all(app))
                    group.create_task(self._kill(nodes, pair[0]))
                    group.create_task(self._drain(nodes, pair[1]))
            await _ended(churning)
            with self._timed("until everybody has everything"):
                await self._all_there()
        finally:
            await _ended(churning)
            await _ended(telling)

    async def _kill(self, nodes: Nodes, node: NodeProcess) -> None:
        await asyncio.sleep(self.size.kill_at * self.size.seconds)
        self._note(f"{node.name} is killed with signal 9, with {self.crowd.connected()} clients on both")
        node.kill()
        with self._timed("replace the killed node"):
            await nodes.start("ws-3")
        self._replaced.set()

    async def _drain(self, nodes: Nodes, node: NodeProcess) -> None:
        await asyncio.sleep(self.size.drain_at * self.size.seconds)
        await self._replaced.wait()  # somebody has to be there
        self._note(f"{node.name} is drained")
        ending = asyncio.create_task(self._end_of(node))
        with self._timed("replace the drained node"):
            await nodes.start("ws-4")
        await ending

    async def _end_of(self, node: NodeProcess) -> None:
        with self._timed("drain a node until its process ends"):
            node.drain()
            self.course.exits.append(await node.process.wait())

    async def _last_round(self, app: App) -> None:
        """Let everybody come back once more, and get exactly one message in each channel."""
        with self._timed("everybody comes back once more"):
            for member in self.crowd.members:
                member.go(politely=True, wait=random.uniform(0.0, self.size.clients / 1_000))
            await self._all_there()
        await self.crowd.publish(app, list(self.crowd.published))
        with self._timed("a last message in each channel"):
            await self._all_there()

    # Who has what.

    async def _all_there(self) -> None:
        if not await self.crowd.all_there(SETTLE_SECONDS):
            self._note("not everybody has everything")

    def _balance(self) -> None:
        self.course.missing = self.crowd.lacking()
        self.course.away = self.size.clients - self.crowd.connected()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(max(1.0, self.size.seconds / 20))
            seen = self.crowd.ledger
            self._note(
                f"published {self.crowd.published.total():,}  delivered {seen.delivered:,}  "
                f"connected {self.crowd.connected():,}  reconnects {seen.reconnects.total():,}  "
                f"gaps {seen.gaps}  duplicates {seen.duplicates}  told {seen.told.total()}"
            )


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
