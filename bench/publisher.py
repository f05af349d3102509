"""A process that publishes what a benchmark is about, as any process of a deployment would: through an `App`.

It prints `ready` when it is connected, waits for a line on standard input, publishes, and prints what it did as JSON.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from mini_apps.database import Database
from mini_apps.loading import load_app
from mini_apps.mesh import Mesh
from shared.broker import Broker
from shared.bus import Bus
from shared.settings import load

MESSAGE_BYTES = 128
USERS = 10_000  # Telegram ids 1 to this have logins
BATCH = 200  # publishes that wait for Redis together


def padding(head: str) -> str:
    """Fill a message up to the size that is compared."""
    return "x" * max(0, MESSAGE_BYTES - len(head) - len(',"pad":""}'))


async def paced(total: int, rate: float, publish: Callable[[int], Awaitable[object]]) -> float:
    """Publish so many at a steady rate (0: as fast as it goes) and return the seconds it took."""
    start, sent = time.perf_counter(), 0
    while sent < total:
        due = min(total, int((time.perf_counter() - start) * rate) + 1) if rate else total
        batch = min(due - sent, BATCH)
        await asyncio.gather(*(publish(number) for number in range(sent, sent + batch)))
        sent += batch
        if rate and sent >= due:
            await asyncio.sleep(max(0.0, start + sent / rate - time.perf_counter()))
    return time.perf_counter() - start


async def run(arguments: argparse.Namespace) -> None:
    settings = load(arguments.settings, {})
    async with Broker(settings.redis) as broker, Bus(broker, "bench-publisher") as bus:
        database = Database(settings.database.url.get_secret_value(), settings.folder)
        app = load_app("bench", settings.apps["bench"], Mesh(settings, broker, bus, database, "bench-publisher", "cli"))
        pad = padding('{"type":"tick","n":1000,"t":1795369026000000000')
        targets = arguments.targets

        async def broadcast(number: int) -> None:
            await app.broadcast(type="tick", n=number, t=time.time_ns(), pad=pad)

        async def to_channel(number: int) -> None:
            await app.publish(f"{arguments.kind}:{number * 7919 % targets}", type="tick", t=time.time_ns(), pad=pad)

        async def to_user(number: int) -> None:
            await app.send_to_user(number * 7919 % arguments.known + 1, type="tick", t=time.time_ns(), pad=pad)

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        work = {"broadcast": broadcast, "channels": to_channel}.get(arguments.what)
        if work is not None:
            seconds = await paced(arguments.count, arguments.rate, work)
        else:  # Centrifugo's shape: a tenth of the frames to one user each, the others to groups of ten
            seconds, _ = await asyncio.gather(
                paced(arguments.count, arguments.rate, to_channel),
                paced(arguments.users, arguments.users_rate, to_user),
            )
        print(json.dumps({"seconds": round(seconds, 4)}), flush=True)
        await database.aclose()


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1]))
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["broadcast", "channels", "mixed"])
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--kind", default="group")
    parser.add_argument("--targets", type=int, default=1)
    parser.add_argument("--users", type=int, default=0)
    parser.add_argument("--known", type=int, default=USERS)
    parser.add_argument("--users-rate", type=float, default=0)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
