"""`python -m bench.harness`: how long a test of a bot and a socket takes with `mini_apps.testing`."""

import argparse
import asyncio
import itertools
import logging
import statistics
import time
from typing import Any, Final

import structlog

from mini_apps import App
from mini_apps.testing import MiniAppTest
from mini_apps.testing.services import load_services
from mini_apps.testing.valkey import shared_valkey

WARM_UP: Final = 3
STEPS: Final = ("start", "socket", "bot", "stop", "wall", "cpu")


class Counter(App):
    """The app of docs/testing.md."""

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> None:  # noqa: ARG002 - the contract
        await self.broadcast(type="clicks", clicks=await self.redis.incr(self.key("clicks")))

    @App.bot_command
    async def start(self, args: Any, event: Any) -> Any:  # noqa: ARG002 - the contract
        return event.answer(f"Hello {event.from_user.first_name}!")


async def _test() -> list[float]:
    """Run the test of docs/testing.md; return when each of its steps was done."""
    async with MiniAppTest(Counter) as t:
        done = [time.perf_counter()]
        ada = await t.open("ada")
        await ada.send(type="click")
        assert (await ada.receive("clicks"))["clicks"] == 1
        done.append(time.perf_counter())
        await t.user("ada").sends("/start")
        assert (await t.bot.sent("ada", "Hello")).text == "Hello Ada!"
        done.append(time.perf_counter())
    return done


def measure(tests: int) -> dict[str, float]:
    """Run the test so often, each in a loop of its own as pytest does; return the medians of `STEPS`, in ms."""
    load_services()
    shared_valkey()
    found = [_one() for _ in range(WARM_UP + tests)][WARM_UP:]
    return {
        step: statistics.median(values) * 1000 for step, values in zip(STEPS, zip(*found, strict=True), strict=True)
    }


def _one() -> list[float]:
    cpu, began = time.process_time(), time.perf_counter()
    steps = [began, *asyncio.run(_test()), time.perf_counter()]
    parts = [after - before for before, after in itertools.pairwise(steps)]
    return [*parts, steps[-1] - began, time.process_time() - cpu]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.harness", description="Time a test of a bot and a socket.")
    parser.add_argument("--tests", type=int, default=20)
    tests = parser.parse_args().tests
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = measure(tests)
    times = f"{found['wall']:.0f} ms, {found['cpu']:.0f} ms of processor time"
    print(f"a test of a bot and a socket, median of {tests}: {times}")
    print(", ".join(f"{step} {found[step]:.0f} ms" for step in STEPS[:4]))


if __name__ == "__main__":
    main()
