"""Which measurements make up the table, for whom, and how large they are."""

from dataclasses import dataclass

from bench import measure
from bench.measure import Notebook, pick
from bench.sides import (
    CHANNELS,
    LIMIT,
    OURS,
    PYTHON_SOCKETIO,
    PYTHON_SOCKETIO_ECHO,
    PYTHON_SOCKETIO_RELAY,
    SOCKET_IO,
    SOCKET_IO_ECHO,
    SOCKET_IO_RELAY,
    US,
    WS,
    Side,
    Site,
)

CLIENTS = 1000
LATENCY = ("p50", "p99", "max", "frames_s", "delivered", "behind")
OUR_ECHO = '{"type":"echo","id":1,"t":%t}'
THEIR_ECHO = '42["ping",{"t":%t}]'
OUR_ROOM = '{"type":"enter","kind":"room","first":%h,"count":1,"of":500}'
OUR_RELAY = '{"type":"relay","room":"room:%h","t":%t}'


@dataclass(frozen=True, slots=True)
class Size:
    """How long each measurement takes.

    Attributes:
        burst: messages of the broadcast without a pace, for us and for the C limit.
        seconds: of each paced one.
        many: clients where it says 10,000.
        growth: whether the costs at different sizes are compared.
    """

    burst: int = 5000
    seconds: float = 4.0
    many: int = 10_000
    growth: bool = True


SHORT = Size(burst=2000, seconds=1.5, many=1000, growth=False)


def broadcast(site: Site, notebook: Notebook, size: Size) -> None:
    """Broadcast to 1,000 clients: as fast as it goes, at 50,000 and at 200,000 frames a second."""
    for row, messages, rate in _paces(size, size.burst // 4):
        with notebook.trying(row, LIMIT):
            result = measure.limit(site, clients=CLIENTS, messages=messages, rate=rate)
            notebook.note(row, LIMIT, **pick(result, "frames_s", *(LATENCY if rate else ())))
    everybody = {
        US: (size.burst, ("max", "50k", "200k")),
        SOCKET_IO: (400, ("max", "50k", "200k")),
        WS: (400, ("max", "50k")),
        PYTHON_SOCKETIO: (40, ("max",)),
        CHANNELS: (15, ("max",)),
    }
    for side, (burst, rows) in everybody.items():
        if side is US or site.toolbox.has(side.name):
            _broadcast_side(site, notebook, size, side, burst, rows)


def _broadcast_side(site: Site, notebook: Notebook, size: Size, side: Side, burst: int, rows: tuple[str, ...]) -> None:
    with notebook.trying("start", side.name), side.start(site) as servers:
        for row, messages, rate in _paces(size, burst):
            if row not in rows:
                continue
            with notebook.trying(row, side.name):
                result = measure.fan_out(site, side, servers, clients=CLIENTS, messages=messages, rate=rate)
                notebook.note(row, side.name, **pick(result, *(LATENCY if rate else ("frames_s",)), "cpu_us_per_frame"))


def _paces(size: Size, burst: int) -> list[tuple[str, int, float]]:
    return [("max", burst, 0.0), ("50k", int(50 * size.seconds), 50.0), ("200k", int(200 * size.seconds), 200.0)]


def echo(site: Site, notebook: Notebook, size: Size) -> None:
    """Answer each message of 200 clients."""
    ours = size.burst // 10
    for side, frame, each in (
        (US, OUR_ECHO, ours),
        (SOCKET_IO_ECHO, THEIR_ECHO, 500),
        (PYTHON_SOCKETIO_ECHO, THEIR_ECHO, 100),
    ):
        if side is not US and not site.toolbox.has(side.name):
            continue
        with notebook.trying("echo", side.name), side.start(site) as servers:
            result = measure.echo(site, side, servers, frame=frame, clients=200, each=each)
            notebook.note("echo", side.name, **pick(result, "frames_s", "p50", "p99"))


def relay(site: Site, notebook: Notebook, size: Size) -> None:
    """Relay in 500 rooms of 2 whose members are on different nodes."""
    theirs = ('42["join",%h]', '42["relay",{"t":%t}]')
    for side, (enter, frame), each in (
        (US, (OUR_ROOM, OUR_RELAY), size.burst // 50),
        (SOCKET_IO_RELAY, theirs, 80),
        (PYTHON_SOCKETIO_RELAY, theirs, 4),
    ):
        if side is not US and not site.toolbox.has(side.name):
            continue
        with notebook.trying("rooms", side.name), side.start(site, 2) as servers:
            result = measure.relay(site, side, servers, enter=enter, frame=frame, rooms=500, each=each)
            notebook.note("rooms", side.name, **pick(result, "frames_s", "p50", "p99"))


def first_logins(site: Site, notebook: Notebook, size: Size) -> None:
    """Let every user in once, so that all further logins are of known users, as after the restart of a node."""
    with notebook.trying("first login", OURS):
        notebook.note("first login", OURS, logins_s=measure.connects(site, US, clients=size.many))


def connects(site: Site, notebook: Notebook, size: Size) -> None:
    """Connect, and log in with init data that is validated."""
    for side in (US, SOCKET_IO, PYTHON_SOCKETIO):
        if side is US or site.toolbox.has(side.name):
            with notebook.trying("connect", side.name):
                clients = min(size.many, 1000 if side is PYTHON_SOCKETIO else 3000)
                notebook.note("connect", side.name, logins_s=measure.connects(site, side, clients=clients))


def memory(site: Site, notebook: Notebook, size: Size) -> None:
    """Hold idle connections."""
    for side in (US, SOCKET_IO, WS):
        if side is US or site.toolbox.has(side.name):
            with notebook.trying("memory", side.name):
                notebook.note("memory", side.name, kb=measure.memory(site, side, clients=size.many))


def personal_and_group(site: Site, notebook: Notebook, size: Size, broker: int) -> None:
    """10,000 clients on 2 nodes, each with a channel of its own and in a group of 10."""
    with notebook.trying("10,000", OURS):
        result = measure.personal_and_group(site, broker, clients=size.many, seconds=2 * size.seconds)
        notebook.note("10,000", OURS, **pick(result, "frames_s", "p50", "p99", "max", "delivered", "cpu_us_per_frame"))


def growth(site: Site, notebook: Notebook, size: Size) -> None:
    """Compare what a frame costs with few and with many clients, channels and nodes."""
    for clients, rate in ((CLIENTS, 50.0), (size.many, 50.0 * CLIENTS / size.many)):
        with notebook.trying("clients", OURS), US.start(site) as servers:
            messages = int(rate * size.seconds)
            result = measure.fan_out(site, US, servers, clients=clients, messages=messages, rate=rate)
            notebook.note("clients", f"{clients:,}", **pick(result, "cpu_us_per_frame"))
    for each, of in ((1, 100), (100, 10_000)):
        with notebook.trying("channels", OURS), US.start(site) as servers:
            messages = int(1000 * size.seconds)
            result = measure.channels(site, servers, each=each, of=of, messages=messages, rate=1000)
            notebook.note("channels", f"{of:,}", **pick(result, "cpu_us_per_message", "p99"))
    for nodes in (1, 2):
        with notebook.trying("nodes", OURS), US.start(site, nodes) as servers:
            messages = int(50 * size.seconds)
            result = measure.fan_out(site, US, servers, clients=CLIENTS, messages=messages, rate=50)
            notebook.note("nodes", str(nodes), **pick(result, "cpu"))
