"""Killing containers, and timing how long people and the container itself were away."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compose.probes import Probe
from bench.compose.stack import Stack
from bench.processes import MeasurementFailed

SETTLE_SECONDS = 120.0
REPLICATED = ("gateway", "bot_worker", "ws_server")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one fault did.

    Attributes:
        service: whose container.
        how: it was killed.
        page: seconds without the page; 0 when nobody noticed.
        login: seconds without new logins.
        bot: seconds in which somebody waited for the bot.
        ready: seconds until the container was healthy again.
    """

    service: str
    how: str
    page: float
    login: float
    bot: float
    ready: float


async def kill(stack: Stack, service: str, probes: Sequence[Probe]) -> Recovery:
    """Let `docker kill` end a container, which the engine takes for an operator's wish and does not start again.

    Of a service with replicas the others go on alone, and it is started when all works without it; of any other it is
    started at once.
    """
    victim = (await stack.docker.containers(service))[0]
    _begin(probes)
    began = time.monotonic()
    await stack.docker.run("kill", victim)
    if service in REPLICATED:
        await _settled(probes, service)
        began = time.monotonic()
    await stack.docker.run("start", victim)
    ready = await _healthy(stack, victim, began)
    await _settled(probes, service)
    return _recovery(service, "`docker kill`", probes, ready)


async def crash(stack: Stack, service: str, probes: Sequence[Probe]) -> Recovery | None:
    """Kill a container's first process, as a crash does, and let the engine start it again.

    Returns:
        None where the engine's processes are not ours to kill.
    """
    victim = (await stack.docker.containers(service))[0]
    pid = int((await stack.docker.inspect(victim))[0]["State"]["Pid"])
    if not _is_ours(pid, victim):
        return None
    _begin(probes)
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while int((await stack.docker.inspect(victim))[0]["State"]["Pid"]) in (0, pid):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)
    ready = await _healthy(stack, victim, began)
    await _settled(probes, service)
    return _recovery(service, "crash", probes, ready)


def _is_ours(pid: int, container: str) -> bool:
    try:
        return os.geteuid() == 0 and container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def _begin(probes: Sequence[Probe]) -> None:
    for probe in probes:
        probe.begin()


async def _settled(probes: Sequence[Probe], service: str) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while not all(probe.settled for probe in probes):
        if time.monotonic() > until:
            away = ", ".join(probe.what for probe in probes if not probe.settled)
            raise MeasurementFailed(f"{service} was killed, and after {SETTLE_SECONDS:g} s this does not work: {away}")
        await asyncio.sleep(0.1)


async def _healthy(stack: Stack, container: str, began: float) -> float:
    until = time.monotonic() + SETTLE_SECONDS
    while await stack.docker.health(container) != ["healthy"]:
        if time.monotonic() > until:
            raise MeasurementFailed(f"{container[:12]} is not healthy again after {SETTLE_SECONDS:g} s")
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def _recovery(service: str, how: str, probes: Sequence[Probe], ready: float) -> Recovery:
    away = {"page": 0.0, "login": 0.0, "bot": 0.0}
    for probe in probes:
        away[probe.what] = max(away[probe.what], probe.away)
    return Recovery(service, how, ready=ready, **away)
