"""`mini-apps inspect nodes`: the processes of a deployment."""

import time
from dataclasses import asdict
from typing import Any, cast

from mini_apps.cli.inspect.looking import Look, as_text, nothing_here
from mini_apps.cli.problem import Problem
from mini_apps.cli.view import BAD, DIM, GOOD, WORRY, Cell, ago, number, show, since
from shared.broker import Broker
from shared.nodes import Node, live_nodes
from shared.settings import Settings

ORDER = {"gateway": 0, "bot": 1, "ws": 2}
NEARLY_FULL = 0.9
SLOW_MS = 500.0


def showing(*, as_json: bool) -> Look:
    """Make the look at the register, those that lately went without a word among them."""

    async def look(broker: Broker, _settings: Settings) -> None:
        nodes = sorted(await live_nodes(broker), key=lambda node: (ORDER.get(node.kind, 9), node.id))
        gone = await _gone(broker, {node.id for node in nodes})
        if as_json:
            as_text({"nodes": [asdict(node) for node in nodes], "gone": gone})
            return
        if not nodes and not gone:
            raise Problem(await nothing_here(broker))
        heads = ("node", "kind", "state", "clients", "in/s", "out/s", "lag ms", "up", "version", "address")
        rows = [row(node) for node in nodes]
        rows += [(id_, "", Cell(f"gone {ago(seconds)}", BAD), *[""] * 7) for id_, seconds in gone.items()]
        show(heads, rows, right=("clients", "in/s", "out/s", "lag ms", "up"))

    return look


def row(node: Node) -> tuple[object, ...]:
    """Return a node's row."""
    full = 0 < node.capacity * NEARLY_FULL <= node.connections
    clients = f"{node.connections:,}/{node.capacity:,}" if node.capacity else f"{node.connections:,}"
    return (
        node.id,
        node.kind,
        Cell("draining", WORRY) if node.draining else Cell("full", BAD) if full else Cell("up", GOOD),
        clients if node.kind == "ws" else "",
        number(node.in_rate),
        number(node.out_rate) if node.kind != "gateway" else "",
        Cell(f"{node.lag_ms:.1f}", BAD if node.lag_ms > SLOW_MS else ""),
        since(node.started),
        Cell(node.version, DIM),
        Cell(node.address, DIM),
    )


async def _gone(broker: Broker, alive: set[str]) -> dict[str, int]:
    """Give those whose lease ended lately without a farewell, and for how many seconds."""
    listed = cast("list[tuple[bytes, float]]", await broker.client.zrange(broker.keys.nodes, 0, -1, withscores=True))
    ends: dict[str, Any] = {raw.decode(): end for raw, end in listed}
    return {id_: max(0, int(time.time() - end)) for id_, end in sorted(ends.items()) if id_ not in alive}
