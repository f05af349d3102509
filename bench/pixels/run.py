"""Clients of the pixel board that all paint at once, on real nodes, and the look whether all end at the same board."""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from bench.processes import BOTH_CORES, Load, MeasurementFailed, serving
from bench.sides import ROOT
from bench.tools import compile_tool
from examples.pixel_board.places import BOARD_BYTES
from mini_apps.embedded import free_port
from mini_apps.testing import sign_init_data

APP, TOKEN = "board", "42:board"
LATE_SECONDS = 60.0  # that the last client may be behind the plan
MEASURED = 100  # clients, at least, of which the latency is taken


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is.

    Attributes:
        clients: that paint.
        each: pixels of each.
        rate: pixels a second of each.
        nodes: that they are spread over.
    """

    clients: int = 2_000
    each: int = 20
    rate: float = 1.0
    nodes: int = 2


def run(size: Size, folder: Path, redis_url: str, *, prefix: str = "pixels") -> dict[str, Any]:
    """Let them paint; everything shares both cores.

    Args:
        size: how many, how much.
        folder: for settings, logs and the database.
        redis_url: of a real server.
        prefix: of the keys.

    Returns:
        What the clients saw, what Redis holds, and what the nodes used.

    Raises:
        MeasurementFailed: a node did not start, or a client did not come in.
        ToolsMissing: the clients cannot be compiled here.
    """
    painters, settings, logins, board = compile_tool("paint"), folder / "run.json", folder / "logins", folder / "board"
    settings.write_text(json.dumps(_settings(folder, redis_url, prefix)))
    logins.write_text("".join(f"{json.dumps(_login(user))}\n" for user in range(1, size.clients + 1)))
    with ExitStack() as stack:
        nodes = []
        for number in range(1, size.nodes + 1):
            command: list[str | Path] = [sys.executable, "-m", "ws_server", "--settings", settings, "--port"]
            port, env = free_port(), {**os.environ, "PYTHONPATH": str(ROOT)}
            log, node = folder / f"ws-{number}.log", [*command, str(port)]
            nodes.append(stack.enter_context(serving(f"ws-{number}", node, port, env=env, log=log, cores=BOTH_CORES)))
        planned = size.each / size.rate
        arguments: list[Any] = ["-p", ",".join(str(node.port) for node in nodes), "-n", size.clients, "-F", logins]
        arguments += ["-e", size.each, "-r", size.rate, "-T", planned + LATE_SECONDS, "-o", board]
        arguments += ["-s", max(1, size.clients // MEASURED)]
        load = stack.enter_context(Load(painters, arguments))
        load.wait_ready(120)
        began, before = time.monotonic(), [(node.cpu(), node.waited()) for node in nodes]
        seen = load.finish(planned + 2 * LATE_SECONDS)
        seconds, after = time.monotonic() - began, [(node.cpu(), node.waited()) for node in nodes]
    if not seen["batches"]:
        raise MeasurementFailed("no client heard of a pixel")
    return {
        **seen,
        "nodes": size.nodes,
        "rate": size.rate,
        "asked": size.clients * size.each,
        "as_redis": board.read_bytes() == _board_of(redis_url, prefix),
        "placements_s": round(seen["painted"] / seen["seconds"], 1),
        "frames_s": round(seen["batches"] / seen["seconds"], 1),
        "pixels_s": round(seen["pixels"] / seen["seconds"], 1),
        "cpu_percent": _percent(0, before, after, seconds),
        "waited_percent": _percent(1, before, after, seconds),
    }


def _percent(
    column: int, before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]], seconds: float
) -> list[float]:
    return [round(100 * (last[column] - first[column]) / seconds, 1) for first, last in zip(before, after, strict=True)]


def exact(found: dict[str, Any]) -> bool:
    """Tell whether every pixel was painted, and every client ended with every batch and the board that Redis has."""
    everybody = found["whole"] == found["same"] == found["connections"]
    trouble = found["closed"] or found["different"]
    return bool(everybody and found["as_redis"] and found["painted"] == found["asked"] and not trouble)


def _settings(folder: Path, redis_url: str, prefix: str) -> dict[str, Any]:
    """Return all defaults but the ink: here everybody paints as fast as planned."""
    return {
        "log": {"level": "warning"},
        "redis": {"url": redis_url, "prefix": prefix},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/users.sqlite"},
        "apps": {APP: {"class": "examples.pixel_board.app:PixelBoard", "bot-token": TOKEN, "ink": 0}},
    }


def _login(user: int) -> dict[str, str]:
    data = sign_init_data(TOKEN, user={"id": user, "first_name": f"User {user}"})
    return {"type": "login", "app": APP, "data": data}


def _board_of(redis_url: str, prefix: str) -> bytes:
    with Redis.from_url(redis_url) as redis:
        found: Any = redis.get(f"{prefix}:{APP}:own:{{board}}:pixels")
    return bytes(found or b"").ljust(BOARD_BYTES, b"\0")
