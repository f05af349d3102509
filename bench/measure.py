"""The measurements themselves: what is started, asked and counted for each row of the table."""

import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.processes import BOTH_CORES, LOAD_CORE, Load, MeasurementFailed, Server, pin, pin_self, serving
from bench.sides import LIMIT, US, Side, Site, publisher
from mini_apps.embedded import free_port

Result = dict[str, Any]
SETTLE_SECONDS = 0.3


@dataclass(slots=True)
class Notebook:
    """What was measured: row, side, figure, and one value for each repetition."""

    values: dict[str, dict[str, dict[str, list[float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    )
    turns: int = 0  # repetitions that were made
    failures: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def note(self, row: str, side: str, **figures: float) -> None:
        """Write figures down, and show them."""
        for name, value in figures.items():
            self.values[row][side][name].append(round(value, 4))
        shown = "  ".join(f"{name} {value:,.{0 if value >= 1000 else 2}f}" for name, value in figures.items())
        print(f"{time.monotonic() - self.started:5.0f} s  {row:<12} {side:<16} {shown}", flush=True)

    @contextmanager
    def trying(self, row: str, side: str) -> Iterator[None]:
        """Let one failed measurement be a line in the report instead of the end."""
        try:
            yield
        except (MeasurementFailed, subprocess.SubprocessError, OSError, ValueError, AssertionError) as error:
            self.failures.append(f"{row}, {side}: {error}")
            print(f"{time.monotonic() - self.started:5.0f} s  {row:<12} {side:<16} failed: {error}", flush=True)


def ports(servers: Sequence[Server]) -> str:
    """Give the ports of the servers as the load tool wants them."""
    return ",".join(str(server.port) for server in servers)


def fan_out(
    site: Site, side: Side, servers: Sequence[Server], *, clients: int, messages: int, rate: float, patience: float = 15
) -> Result:
    """Broadcast so many messages to so many clients, and return what the clients saw and the servers used."""
    planned = messages / rate if rate else 0
    every = max(1, clients // 100)
    arguments: list[Any] = [
        "-p",
        ports(servers),
        "-n",
        clients,
        "-e",
        messages,
        "-s",
        every,
        "-T",
        120,
        *side.client(site),
    ]
    with _broadcaster(site, side, messages, rate) as publish, Load(site.toolbox.load, arguments) as load:
        load.wait_ready()
        time.sleep(SETTLE_SECONDS)
        before = [server.cpu() for server in servers]
        publish()
        result = load.finish(planned / 2 + patience)
        cpu = [server.cpu() - used for server, used in zip(servers, before, strict=True)]
    return _complete(result, messages, planned) | {
        "cpu": max(cpu),
        "cpu_us_per_frame": 1e6 * sum(cpu) / result["frames"],
    }


@contextmanager
def _broadcaster(site: Site, side: Side, messages: int, rate: float) -> Iterator[Any]:
    if side is US:
        with publisher(site, "broadcast", "--count", messages, "--rate", rate) as publish:
            yield publish
        return
    command = [*map(str, side.publisher(site)), str(messages), str(rate)]
    limit = (messages / rate if rate else 0) + 60
    yield lambda: subprocess.run(command, env=site.env, check=True, timeout=limit, capture_output=True)


def limit(site: Site, *, clients: int, messages: int, rate: float) -> Result:
    """Let the C program that does nothing but one send per frame do the same."""
    port, log = free_port(), site.folder / "limit.log"
    command: list[Any] = [site.toolbox.limit, str(port), str(clients), str(messages), str(rate)]
    arguments: list[Any] = ["-p", port, "-n", clients, "-e", messages, "-s", max(1, clients // 100), "-r", 2, "-T", 60]
    with serving(LIMIT, command, port, env=site.env, log=log), Load(site.toolbox.load, arguments) as load:
        load.wait_ready()
        planned = messages / rate if rate else 0
        return _complete(load.finish(planned + 30), messages, planned)


def _complete(result: Result, messages: int, planned: float) -> Result:
    """Add what follows from a result; nobody may win by losing messages."""
    if not result["frames"]:
        raise MeasurementFailed("no frame arrived")
    result["frames_s"] = result["frames"] / max(result["seconds"], 1e-6)
    result["delivered"] = result["least"] / messages
    if planned:
        result["behind"] = max(0.0, result["seconds"] - planned * (messages - 1) / messages)
    elif result["least"] < messages:
        raise MeasurementFailed(f"a client got {result['least']} of {messages} messages")
    return result


def echo(site: Site, side: Side, servers: Sequence[Server], *, frame: str, clients: int, each: int) -> Result:
    """Let clients send and wait for the answers, four in flight each."""
    arguments: list[Any] = ["-p", ports(servers), "-n", clients, "-e", each, "-E", frame, "-M", each, "-K", 4, "-T", 20]
    with Load(site.toolbox.load, [*arguments, *side.client(site)]) as load:
        load.wait_ready()
        return _complete(load.finish(25), each, 0)


def relay(
    site: Site, side: Side, servers: Sequence[Server], *, enter: str, frame: str, rooms: int, each: int
) -> Result:
    """Let one member of each room of two send; both, who are on different nodes, get it; then the next is sent."""
    arguments: list[Any] = ["-p", ports(servers), "-n", 2 * rooms, "-e", each, "-E", frame, "-M", each, "-O", "-T", 30]
    client = [*side.client(site)][:-2]  # without its `-r`: here a connection is ready when it is in its room
    if side is not US:
        client += ["-D", "2"]
    with Load(site.toolbox.load, [*arguments, *client, "-H", enter, "-r", 3]) as load:
        load.wait_ready()
        return _complete(load.finish(35), each, 0)


def connects(site: Site, side: Side, *, clients: int) -> float:
    """Return how many clients a second a fresh server lets in, logged in where the side has logins."""
    with side.start(site) as servers:
        time.sleep(SETTLE_SECONDS)
        with Load(site.toolbox.load, ["-p", ports(servers), "-n", clients, "-T", 60, *side.client(site)]) as load:
            load.wait_ready()
            return clients / float(load.finish(0)["ready_seconds"])


def memory(site: Site, side: Side, *, clients: int) -> float:
    """Return the KB a server grows by with each idle connection."""
    with side.start(site) as servers:
        time.sleep(SETTLE_SECONDS)
        before = servers[0].resident()
        with Load(site.toolbox.load, ["-p", ports(servers), "-n", clients, "-T", 120, *side.client(site)]) as load:
            load.wait_ready(90)
            time.sleep(1.0)
            return (servers[0].resident() - before) / clients / 1024


def channels(site: Site, servers: Sequence[Server], *, each: int, of: int, messages: int, rate: float) -> Result:
    """Publish to `of` channels of ten members in turn; 1,000 clients, each in `each` of them."""
    enter = f'{{"type":"enter","kind":"game","first":%d,"count":{each},"of":{of}}}'
    arguments: list[Any] = ["-p", ports(servers), "-n", 1000, "-e", messages // 100, "-T", 90, "-F", site.logins]
    arguments += ["-H", enter, "-r", 2 + each]
    asked = ("channels", "--kind", "game", "--targets", of, "--count", messages, "--rate", rate)
    with publisher(site, *asked) as publish, Load(site.toolbox.load, arguments) as load:
        load.wait_ready(90)
        time.sleep(SETTLE_SECONDS)
        before = servers[0].cpu()
        publish()
        result = load.finish(15)
        used = servers[0].cpu() - before
    if result["frames"] < 10 * messages:
        raise MeasurementFailed(f"{result['frames']} of {10 * messages} frames arrived")
    return {**result, "cpu_us_per_message": 1e6 * used / messages}


def personal_and_group(site: Site, broker: int, *, clients: int, seconds: float) -> Result:
    """Centrifugo's shape: each client hears its own name and a group of ten, while others join and leave channels.

    50,000 frames a second: 4,500 messages to groups and 5,000 to single users. Everything shares both cores.
    """
    groups = clients // 10
    to_groups, to_users = int(0.45 * clients * seconds), int(0.5 * clients * seconds)
    enter = f'{{"type":"enter","kind":"group","first":%g,"count":1,"of":{groups}}}'
    asked: list[Any] = ["mixed", "--targets", groups, "--count", to_groups, "--rate", 0.45 * clients]
    asked += ["--known", clients, "--users", to_users, "--users-rate", 0.5 * clients]
    expected = (10 * to_groups + to_users) // clients
    pin_self(BOTH_CORES)
    pin(broker, BOTH_CORES)
    try:
        with US.start(site, 2, BOTH_CORES) as servers, publisher(site, *asked) as publish:
            arguments: list[Any] = ["-p", ports(servers), "-n", clients, "-F", site.logins, "-H", enter, "-r", 3, "-t"]
            arguments += ["-J", 200, "-j", '{"type":"subscribe","channel":"lobby:%h"}']
            arguments += ["-l", '{"type":"unsubscribe","channel":"lobby:%h"}', "-e", expected, "-T", seconds + 30]
            with Load(site.toolbox.load, arguments) as load:
                load.wait_ready(90)
                time.sleep(1.0)
                before = [server.cpu() for server in servers]
                publish()
                result = load.finish(10)
                used = sum(server.cpu() for server in servers) - sum(before)
    finally:
        pin(broker, LOAD_CORE)
        pin_self(LOAD_CORE)
    if not result["frames"]:
        raise MeasurementFailed("no frame arrived")
    return {
        **result,
        "frames_s": result["frames"] / max(result["seconds"], 1e-6),
        "delivered": result["frames"] / (expected * clients),
        "cpu_us_per_frame": 1e6 * used / result["frames"],
    }


def pick(result: Result, *names: str) -> dict[str, float]:
    """Give those figures of a result that it has."""
    return {name: float(result[name]) for name in names if name in result}
