"""The compose run itself: what happens in which order, and what is noted down."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.churn.ledger import Ledger
from bench.churn.member import Member
from bench.compose import faults, leaks
from bench.compose.page import init_data
from bench.compose.play import play
from bench.compose.posts import Posts
from bench.compose.probes import probing
from bench.compose.stack import IMAGE, SERVICES, Stack
from bench.processes import MeasurementFailed
from bench.sides import ROOT

SETTLE_SECONDS = 120.0
NODES = 3
NEW_IMAGE = "mini-apps-mesh:run-2"
ON_TOP = f"FROM {IMAGE}\nUSER root\nRUN echo 2 >/app/version\nUSER app\n"
SECRETS_OF = 30  # clients whose init data and session tokens are looked for everywhere


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is.

    Attributes:
        clients: that stay in two rooms each and check every message.
        rooms: channels with history.
        each: messages a second into one room.
        steady: seconds between two changes of the number of nodes.
        usual: seconds to see how long things take while nothing is broken.
        crashes: kill processes, too, after the containers.
    """

    clients: int = 200
    rooms: int = 20
    each: float = 1.0
    steady: float = 5.0
    usual: float = 10.0
    crashes: bool = True

    def rooms_of(self, client: int) -> list[str]:
        """Return the two rooms of a client."""
        return [f"room:{client % self.rooms}", f"room:{(client + 1 + client // self.rooms) % self.rooms}"]


@dataclass(slots=True)
class Course:
    """What happened.

    Attributes:
        sizes: bytes of the image and of its base.
        times: seconds that steps took.
        memory: what the containers use under load, by name, in words.
        usual: seconds that what people do took at most before the faults.
        recoveries: of all faults.
        uncrashed: services whose processes could not be killed from here.
        places: that were looked through for secrets.
        secrets: that were looked for.
        missing: messages that clients lack at the end.
        published: messages in all.
        repeated: posts that were sent again.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    memory: dict[str, str] = field(default_factory=dict)
    usual: dict[str, float] = field(default_factory=dict)
    recoveries: list[faults.Recovery] = field(default_factory=list)
    uncrashed: list[str] = field(default_factory=list)
    places: list[leaks.Place] = field(default_factory=list)
    secrets: int = 0
    missing: int = 0
    published: int = 0
    repeated: int = 0


class Run:
    """One run.

    Args:
        stack: the deployment.
        size: how large.
        folder: for what is written on the way.
        say: shows a line of progress.
    """

    def __init__(self, stack: Stack, size: Size, folder: Path, say: Callable[[str], None]) -> None:
        self.ledger = Ledger()
        self.course = Course()
        self._stack = stack
        self._size = size
        self._folder = folder
        self._say = say
        self._started = time.monotonic()
        self._commands = folder / "commands"
        self._sessions: list[str] = []
        self._init_data = [init_data(stack, number + 1) for number in range(size.clients)]
        self.members = self._invite()
        rooms = [f"room:{number}" for number in range(size.rooms)]
        self._posts = Posts(stack, rooms, size.each)

    async def run(self) -> None:
        """Do all of it.

        Raises:
            MeasurementFailed: something does not work; the text says what.
        """
        stack = self._stack
        await stack.write_secrets()
        with self._timed("build the image"):
            self.course.sizes = await stack.build()
        with self._timed("`docker compose up` until all are healthy"):
            await stack.up()
        async with self._monitor():
            with self._timed("log in on all nodes, rooms across nodes, webhook to hook, a picture, strangers kept out"):
                self._sessions += [page.session for page in await play(stack, NODES)]
        async with self._load():
            async with self._monitor():
                await self._scale()
            await self._roll()
            await self._break()
            self.course.memory = await self._memory()
        await self._look_for_secrets()
        with self._timed("`docker compose down`"):
            await stack.down()

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        self._note(what)
        yield
        self.course.times[what] = round(time.monotonic() - began, 1)
        self._note(f"{what}: {self.course.times[what]:.1f} s")

    def _note(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._started:5.1f} s  {text}")

    @contextlib.asynccontextmanager
    async def _monitor(self) -> AsyncIterator[None]:
        """Write down every command that Redis gets while the block runs."""
        command = ("docker", "compose", "exec", "-T", "valkey", "valkey-cli", "monitor")
        with self._commands.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=self._stack.docker.environ, stdout=out, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                yield
            finally:
                process.terminate()
                await process.wait()

    @contextlib.asynccontextmanager
    async def _load(self) -> AsyncIterator[None]:
        """Have everybody in their rooms and posts coming while the block runs, and everybody have them all after it."""
        living = [asyncio.create_task(member.live()) for member in self.members]
        posting: asyncio.Task[None] | None = None
        try:
            with self._timed(f"{len(self.members)} clients log in and enter two rooms each"):
                await self._everybody_in()
            posting = asyncio.create_task(self._posts.run())
            yield
            self._posts.stop()
            await posting
            with self._timed("until everybody has everything"):
                await self._all_there()
        finally:
            tasks = [*living, *([posting] if posting is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _everybody_in(self) -> None:
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                for member in self.members:
                    await member.inside.wait()
        except TimeoutError:
            raise MeasurementFailed(f"not everybody was let in within {SETTLE_SECONDS:g} s") from None

    def _invite(self) -> list[Member]:
        address = [("127.0.0.1", self._stack.port)]
        return [
            Member(n, self._size.rooms_of(n), self._init_data[n], lambda: address, self.ledger, "rooms")
            for n in range(self._size.clients)
        ]

    # What happens to them.

    async def _scale(self) -> None:
        await asyncio.sleep(self._size.steady)
        for before, after in ((3, 5), (5, 2), (2, NODES)):
            with self._timed(f"scale from {before} nodes to {after}"):
                await self._stack.scale(after)
            await self._everybody_back()
            await asyncio.sleep(self._size.steady)

    async def _roll(self) -> None:
        docker = self._stack.docker
        await docker.run("build", "--quiet", "--tag", NEW_IMAGE, "-", stdin=ON_TOP.encode())
        docker.environ["IMAGE"] = NEW_IMAGE
        services = ("bot_worker", "ws_server", "gateway")
        with self._timed("replace all bot workers, nodes and gateways by a new image, one after the other"):
            await docker.run("deploy/roll.sh", *services, program="sh")
        for service in services:
            found = await docker.inspect(*await docker.containers(service))
            if {container["Config"]["Image"] for container in found} != {NEW_IMAGE}:
                raise MeasurementFailed(f"{service} does not run the new image")
        await self._everybody_back()

    async def _break(self) -> None:
        async with probing(self._stack) as probes:
            await asyncio.sleep(self._size.usual)
            for probe in probes:
                usual = self.course.usual
                usual[probe.what] = round(max(probe.measure(), usual.get(probe.what, 0.0)), 2)
            for service in SERVICES:
                self._note(f"{service} is killed")
                self.course.recoveries.append(await faults.kill(self._stack, service, probes))
                if not self._size.crashes:
                    await self._everybody_back()
                    continue
                self._note(f"{service} crashes")
                crashed = await faults.crash(self._stack, service, probes)
                if crashed is None:
                    self.course.uncrashed.append(service)
                else:
                    self.course.recoveries.append(crashed)
                await self._everybody_back()

    async def _memory(self) -> dict[str, str]:
        form = "{{.Name}}\t{{.MemUsage}}"
        lines = (await self._stack.docker.compose("stats", "--no-stream", "--format", form)).splitlines()
        return dict(line.split("\t", 1) for line in lines if "\t" in line)

    # Who has what.

    def _lacking(self, member: Member) -> int:
        seats = member.seats.items()
        return sum(self._posts.taken[room] - seat.expected for room, seat in seats if seat.expected >= 0)

    async def _everybody_back(self) -> None:
        await self._until(lambda: all(member.connected for member in self.members), "not everybody came back")

    async def _all_there(self) -> None:
        def whole() -> bool:
            return all(member.connected and not self._lacking(member) for member in self.members)

        await self._until(whole, "not everybody has everything")
        self.course.missing = sum(map(self._lacking, self.members))
        self.course.published, self.course.repeated = self._posts.taken.total(), self._posts.repeated

    async def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait for a condition; that it did not come true shows in the figures."""
        until = time.monotonic() + SETTLE_SECONDS
        while not condition():
            if time.monotonic() > until:
                self._note(otherwise)
                return
            await asyncio.sleep(0.05)

    async def _look_for_secrets(self) -> None:
        self._sessions += [member.session for member in self.members[:SECRETS_OF]]
        secrets = leaks.secrets_of(self._stack, self._init_data[:SECRETS_OF], self._sessions)
        self.course.secrets = len(secrets)
        with self._timed(f"look for {len(secrets)} secrets in everything that is left behind"):
            self.course.places = await leaks.look_everywhere(self._stack, secrets, self._commands.read_bytes())
