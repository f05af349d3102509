"""`python -m bench.scaling`: from what was measured to the tables of docs/scaling.md; `make bench` does it too."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bench.report import RESULTS
from bench.sides import OURS, ROOT

PAGE = ROOT / "docs/scaling.md"
BEGIN, END = "<!-- scaling:begin, written by `python -m bench.scaling` -->", "<!-- scaling:end -->"

USERS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ONLINE = 0.05  # of all users at the busiest time
FRAMES, SENT = 0.5, 0.1  # a second and connected user: to them, and from them, each of which is published once
SESSION_SECONDS = 600.0
UPDATES_A_DAY, BUSIEST = 2.0, 4.0  # to the bot, of a user; the busiest time against the average
BUSY = 0.5  # share of a core that should be in use at the busiest time
NODE_CONNECTIONS = 20_000
NODE_MB = 90.0  # of a node without connections
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What one thing costs; microseconds of a core, but for `connection_kb`."""

    connection_kb: float
    frame: float
    message: float
    login: float
    webhook: float
    update: float
    broker_messages: float  # a second that went through one Redis, which shared its core with the load

    @classmethod
    def measured(cls) -> Self:
        """Read them from `bench/results`."""
        nodes = _read("results")["medians"]
        updates = _read("ingest")["median"]
        return cls(
            connection_kb=nodes["memory"][OURS]["kb"],
            frame=nodes["10,000"][OURS]["cpu_us_per_frame"],
            message=1e6 / nodes["echo"][OURS]["frames_s"],
            login=1e6 / nodes["connect"][OURS]["logins_s"],
            webhook=updates["webhook_us"],
            update=updates["worker_routed_us"],
            broker_messages=nodes["rooms"][OURS]["frames_s"] / 2,
        )


@dataclass(frozen=True, slots=True)
class Need:
    """What so many users need."""

    users: int
    online: int
    frames: float
    logins: float
    updates: float
    node_cores: float
    nodes: int
    node_gb: float
    gateway_cores: float
    worker_cores: float
    shards: int


def need(users: int, costs: Costs) -> Need:
    """Compute it; the assumptions are the constants of this module, and told on the page."""
    online = int(users * ONLINE)
    frames, sent, logins = online * FRAMES, online * SENT, online / SESSION_SECONDS
    updates = users * UPDATES_A_DAY * BUSIEST / DAY
    busy = (frames * costs.frame + sent * costs.message + logins * costs.login) / 1e6
    cores = busy / BUSY
    nodes = max(1, math.ceil(max(cores, online / NODE_CONNECTIONS)))
    return Need(
        users=users,
        online=online,
        frames=frames,
        logins=logins,
        updates=updates,
        node_cores=cores,
        nodes=nodes,
        node_gb=(nodes * NODE_MB + online * costs.connection_kb / 1024) / 1024,
        gateway_cores=updates * costs.webhook / 1e6 / BUSY,
        worker_cores=updates * costs.update / 1e6 / BUSY,
        shards=max(1, math.ceil(sent / (costs.broker_messages * BUSY))),
    )


def tables(costs: Costs) -> str:
    """Return both tables."""
    rows = [
        ("an idle connection", f"{costs.connection_kb:.1f} KB of a node"),
        (
            "a frame to a client (10,000 clients in personal channels and groups of 10)",
            f"{costs.frame:.1f} µs of a node",
        ),
        ("a message of a client through `handle_message`, with its reply", f"{costs.message:.1f} µs of a node"),
        ("a connect and login with init data", f"{costs.login:.0f} µs of a node"),
        ("an update by webhook, stored before the 200", f"{costs.webhook:.0f} µs of a gateway"),
        (
            "an update from its lane through a router's handler to the acknowledgement",
            f"{costs.update:.0f} µs of a worker",
        ),
        ("messages through one Redis, at least", f"{costs.broker_messages:,.0f} a second"),
    ]
    lines = ["| one of these | costs |", "|---|---|", *(f"| {what} | {cost} |" for what, cost in rows), ""]
    titles = (
        *("users", "online", "frames/s", "logins/s", "updates/s", "nodes", "their cores", "their memory"),
        *("cores of gateways", "cores of workers", "Redis masters"),
    )
    lines += [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *(_row(need(users, costs)) for users in USERS)]
    return "\n".join(lines)


def _row(one: Need) -> str:
    cells = (
        *(f"{one.users:,}", f"{one.online:,}", f"{one.frames:,.0f}", f"{one.logins:,.1f}", f"{one.updates:,.1f}"),
        *(str(one.nodes), _cores(one.node_cores), f"{one.node_gb:.1f} GB"),
        *(_cores(one.gateway_cores), _cores(one.worker_cores), str(one.shards)),
    )
    return f"| {' | '.join(cells)} |"


def _cores(cores: float) -> str:
    return f"{cores:.1f}" if cores >= 0.1 else "< 0.1"


def write() -> None:
    """Write the tables into the page."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        PAGE.write_text(f"{before}{begin}\n\n{tables(Costs.measured())}\n\n{end}{after}")


def _read(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


if __name__ == "__main__":
    write()
    print(f"written: {PAGE.relative_to(ROOT)}")
