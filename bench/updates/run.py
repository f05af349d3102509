"""One proof run: a local Telegram, workers and gateways as processes, updates of many chats, and what is killed."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from redis.exceptions import RedisError, ResponseError

from bench.processes import MeasurementFailed
from bench.updates.deployment import LANES, TOKEN, Mode, write_settings
from bench.updates.verdict import Fault, Update, Verdict, judge, read
from bench.updates.waiting import Watch, in_file, in_lanes
from mini_apps.embedded import EmbeddedValkey, free_port
from sandbox.actions import send_text
from sandbox.config import BotConfig, SandboxConfig
from sandbox.model import User
from sandbox.server import RUNTIME, create_app
from shared.broker import UNREACHABLE, Broker
from shared.keys import AppKeys
from shared.nodes import live_nodes

ROOT = Path(__file__).parents[2]
FIRST_CHAT = 1_000
WORKERS = 3
AT_TELEGRAM, IN_LANES = 300, 600  # updates that may wait there before more are sent
UNDER_WAY = 0.02  # of all updates are on their way when something is killed
REDIS_AWAY_SECONDS = 2.0
PATIENCE_SECONDS = 400.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    updates: int = 20_000
    chats: int = 500


@dataclass(slots=True)
class Course:
    """What a run was."""

    mode: Mode
    faults: list[Fault] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    taken_twice: int = 0  # updates that Telegram delivered again, and that were not stored again


class Proof:
    """One run in one mode.

    Args:
        size: how much.
        mode: how updates come in.
        folder: for everything it writes.
        broker: a durable server of its own, which is killed too.
        say: for people who wait.
    """

    def __init__(self, size: Size, mode: Mode, folder: Path, valkey: EmbeddedValkey, say: Say) -> None:
        self.course = Course(mode)
        self._size = size
        self._folder = folder
        self._valkey = valkey
        self._say = say
        self._port = free_port()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._started = 0
        self._sent: list[Update] = []
        self._allowed = self._wanted = 0  # updates that may be, and that must be sent by now
        self._telegram: web.Application | None = None

    async def run(self) -> Course:
        """Run it to its end.

        Raises:
            MeasurementFailed: something did not come up, or the updates did not come to their end.
        """
        (self._folder / "diary").mkdir()
        async with self._sandbox() as url, contextlib.AsyncExitStack() as stack:
            settings = write_settings(self._folder, self.course.mode, url, self._valkey.url, self._port)
            broker = await stack.enter_async_context(Broker(settings.redis))
            stack.push_async_callback(self._stop)
            for number in range(WORKERS):
                await self._start("bot_worker", f"worker-{number}")
            if self.course.mode == "webhook":
                await self._start("gateway", "gateway")
            await self._eventually(lambda: self._shared(broker), "lanes shared by all workers")
            began = time.monotonic()
            await self._work(broker)
            self.course.seconds = time.monotonic() - began
        lines = read(self._folder / "diary")
        self.course.verdict = judge(lines, self._sent, self.course.faults, self._watch.saw_acknowledged)
        return self.course

    async def _work(self, broker: Broker) -> None:
        faults = [(0.15, self._kill_lane_owner), (0.4, self._kill_leader), (0.65, self._restart_redis)]
        if self.course.mode == "webhook":
            faults[1] = (0.4, self._kill_gateway)
        self._watch = Watch(lambda: self._held(broker))
        sending = asyncio.create_task(self._send_all(broker))
        watching = asyncio.create_task(self._watch.keep_looking())
        try:
            shares = [share for share, _ in faults]
            for (share, fault), following in zip(faults, [*shares[1:], 1.0], strict=True):
                self._allowed = int(following * self._size.updates)  # the rest waits for the next fault
                self._wanted = int((share + UNDER_WAY) * self._size.updates)
                await self._eventually(self._enough_sent, "updates to be sent")
                await fault(broker)
            await sending
            await self._eventually(lambda: self._nothing_waits(broker), "all updates to be done")
        finally:
            sending.cancel()
            watching.cancel()

    async def _enough_sent(self) -> bool:
        return len(self._sent) >= self._wanted

    async def _send_all(self, broker: Broker) -> None:
        telegram = self._runtime()
        bot = telegram.world.bots[int(TOKEN.partition(":")[0])]
        users = [telegram.world.users[FIRST_CHAT + number] for number in range(self._size.chats)]
        for number in range(self._size.updates // self._size.chats):
            for user in users:
                await self._room(broker, len(bot.queue))
                send_text(telegram.world, bot, user, str(number), telegram.clock())
                telegram.settle()
                self._sent.append((user.id, number))

    async def _room(self, broker: Broker, at_telegram: int) -> None:
        """Wait until one more may be sent."""
        if len(self._sent) >= self._allowed or at_telegram >= AT_TELEGRAM or await self._crowded(broker):
            await self._eventually(lambda: self._has_room(broker), "room for more updates")

    async def _has_room(self, broker: Broker) -> bool:
        bot = self._runtime().world.bots[int(TOKEN.partition(":")[0])]
        return len(self._sent) < self._allowed and len(bot.queue) < AT_TELEGRAM and not await self._crowded(broker)

    async def _crowded(self, broker: Broker) -> bool:
        return len(self._sent) % 50 == 0 and await self._in_lanes(broker) >= IN_LANES

    # What is killed.

    async def _kill_lane_owner(self, broker: Broker) -> None:
        """Kill a worker that does not lead, and see when all its lanes have another owner."""
        leader = await broker.client.get(self._keys(broker).lease("poller"))
        victim = await self._worker_of(broker, lambda node: node.encode() != leader)
        await self._kill("a lane owner in its hooks", broker, *victim, self._lanes_left(broker, victim[1]))

    async def _kill_leader(self, broker: Broker) -> None:
        """Kill the worker that polls, and see when another does."""
        held: Any = await broker.client.get(self._keys(broker).lease("poller"))
        leader = (held or b"").decode()
        victim = await self._worker_of(broker, lambda node: node == leader)

        async def moved() -> bool:
            held: Any = await broker.client.get(self._keys(broker).lease("poller"))
            return held is not None and held.decode() != leader and await self._lanes_left(broker, leader)()

        await self._kill("the poll leader", broker, *victim, moved)

    async def _kill_gateway(self, broker: Broker) -> None:
        """Kill the gateway and start it again, as a supervisor does, and see when it takes updates again."""
        last: tuple[int, int] | None = None

        async def takes() -> bool:
            nonlocal last
            newest = await self._newest(broker)
            last = last or newest  # the first look is between its death and its return
            return newest > last

        await self._kill("the gateway", broker, "gateway", "", takes)

    async def _kill(
        self, what: str, broker: Broker, name: str, node: str, moved: Callable[[], Awaitable[bool]]
    ) -> None:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        at, waiting = time.monotonic_ns(), await self._waiting(broker)
        began = time.monotonic()
        kind = "gateway" if name == "gateway" else "bot_worker"
        again = asyncio.create_task(self._start(kind, name if kind == "gateway" else f"worker-{self._started}"))
        await self._eventually(moved, f"somebody to go on after {what}")
        seconds = time.monotonic() - began
        await again
        self._note(Fault(what, at, frozenset(waiting.values()), round(seconds, 2)), node)

    async def _restart_redis(self, broker: Broker) -> None:
        """Kill Redis, start it again from its append-only file, and see when updates are done again."""
        self._valkey.kill()
        at = time.monotonic_ns()
        waiting = await in_file(self._valkey, self._lanes(broker))
        await asyncio.sleep(REDIS_AWAY_SECONDS)
        done = len(read(self._folder / "diary"))
        await asyncio.to_thread(self._valkey.start)
        began = time.monotonic()

        async def more() -> bool:
            return len(read(self._folder / "diary")) > done

        await self._eventually(more, "hooks after the restart")
        seconds = round(time.monotonic() - began, 2)
        self._note(Fault("Redis, restarted from its file", at, frozenset(waiting.values()), seconds), "")

    def _note(self, fault: Fault, node: str) -> None:
        self.course.faults.append(fault)
        about = f" ({node})" if node else ""
        self._say(
            f"{self.course.mode}: killed {fault.what}{about}; {len(fault.waiting)} waited, on in {fault.seconds} s"
        )

    # What is looked at.

    async def _waiting(self, broker: Broker) -> dict[str, Update]:
        return await in_lanes(broker.client, self._lanes(broker))

    async def _held(self, broker: Broker) -> list[Update]:
        return list((await self._waiting(broker)).values())

    def _lanes(self, broker: Broker) -> list[str]:
        return [self._keys(broker).updates(lane) for lane in range(LANES)]

    async def _in_lanes(self, broker: Broker) -> int:
        """Count the updates in the lanes; 0 while Redis is away."""
        with contextlib.suppress(*UNREACHABLE, RedisError):
            return sum([await broker.client.xlen(key) for key in self._lanes(broker)])
        return 0

    async def _newest(self, broker: Broker) -> tuple[int, int]:
        """Return the id of the newest entry that any lane ever had, be it done or not."""
        ids = [(0, 0)]
        for key in self._lanes(broker):
            with contextlib.suppress(ResponseError):  # nothing came to that lane yet
                info: Any = await broker.client.xinfo_stream(key)
                milliseconds, _, number = info["last-generated-id"].decode().partition("-")
                ids.append((int(milliseconds), int(number)))
        return max(ids)

    def _lanes_left(self, broker: Broker, node: str) -> Callable[[], Awaitable[bool]]:
        async def left() -> bool:
            keys = [self._keys(broker).lane_lease(lane) for lane in range(LANES)]
            owners: list[Any] = await broker.client.mget(keys)
            return None not in owners and node.encode() not in owners

        return left

    async def _shared(self, broker: Broker) -> bool:
        keys = [self._keys(broker).lane_lease(lane) for lane in range(LANES)]
        owners: list[Any] = await broker.client.mget(keys)
        gateways = await live_nodes(broker, "gateway") if self.course.mode == "webhook" else [1]
        return None not in owners and len(set(owners)) == WORKERS and bool(gateways)

    async def _nothing_waits(self, broker: Broker) -> bool:
        bot = self._runtime().world.bots[int(TOKEN.partition(":")[0])]
        ended = sum(line.what == "ended" for line in read(self._folder / "diary"))
        lanes = await self._waiting(broker) if ended >= len(self._sent) else {"x": (0, 0)}
        return not len(bot.queue) and not lanes

    async def _worker_of(self, broker: Broker, wanted: Callable[[str], bool]) -> tuple[str, str]:
        """Find the process of a live node by what the register says of it: its port."""
        for node in await live_nodes(broker, "bot"):
            if not wanted(node.id):
                continue
            for name, process in self._processes.items():
                log = (self._folder / f"{name}.log").read_text(errors="replace")
                if process.returncode is None and node.address in log:
                    return name, node.id
        raise MeasurementFailed("no worker to kill was found")

    # What runs.

    @contextlib.asynccontextmanager
    async def _sandbox(self) -> AsyncIterator[str]:
        users = tuple(User(FIRST_CHAT + number, f"Chat {number}") for number in range(self._size.chats))
        self._telegram = create_app(SandboxConfig(bots=(BotConfig("proof", TOKEN),), users=users))
        runner = web.AppRunner(self._telegram, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _start(self, module: str, name: str) -> None:
        self._started += 1
        log = (self._folder / f"{name}.log").open("ab")
        try:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, "--settings", str(self._folder / "settings.json")),
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log,
            )  # fmt: skip
        finally:
            log.close()

    async def _stop(self) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self._processes.values():
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _eventually(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(*UNREACHABLE, RedisError):
                if await condition():
                    return
            if time.monotonic() > until:
                raise MeasurementFailed(f"{self.course.mode}: waited {PATIENCE_SECONDS:g} s for {what}; {self._folder}")
            await asyncio.sleep(0.05)

    def _runtime(self) -> Any:
        if self._telegram is None:
            raise MeasurementFailed("the local Telegram does not run")
        return self._telegram[RUNTIME]

    def _keys(self, broker: Broker) -> AppKeys:
        return broker.keys.app("proof")
