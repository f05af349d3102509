"""The calls of other processes: taken from a stream, made, answered.

All workers that serve the bot read the streams as consumers of one group, each under its node id. An entry stays
pending until its call is done; what a dead worker had is taken over by `bot_worker.calls.takeover`. A worker that was
taken for dead finds at its claim that the entry is another's.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from bot_worker.calls import metrics
from bot_worker.calls.claiming import EntryLost
from bot_worker.calls.claims import GROUP, Place
from bot_worker.leading import pause
from shared import trace
from shared.broker import MAX_BLOCK, Broker, BrokerUnavailable, reaching, reconnect_delay
from shared.bus import Bus
from shared.calls import CallEntry, CallResult, pack_result, unpack_entry
from shared.inbox import answer
from shared.link import CommandRefused
from shared.log import get_logger
from shared.scripts import Script
from shared.updates import Overloaded

BATCH: Final = 100
HELD_BOUND: Final = 2_000  # calls of one stream in this worker; then it is not read
AGAIN_SECONDS: Final = 1.0

# KEYS: stream; ARGV: group, entry.
DROP = Script("""
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])
""")

Serve = Callable[[CallEntry, Place], Awaitable[CallResult]]


class Intake:
    """Reads one stream of one app's calls in this worker.

    Args:
        broker: the open broker.
        bus: carries the answers.
        app: name.
        stream: its key.
        worker: node id of this process.
        serve: makes a call, and closes its entry.
        bound: calls that may be here at a time.
    """

    def __init__(
        self, broker: Broker, bus: Bus, app: str, stream: str, worker: str, serve: Serve, *, bound: int = HELD_BOUND
    ) -> None:
        self.stream = stream
        self._broker = broker
        self._bus = bus
        self._app = app
        self._worker = worker
        self._serve = serve
        self._bound = bound
        self._held: set[bytes] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._metric = metrics.held.labels(app, stream.rpartition(":")[2])
        self._log = get_logger("bot").bind(app=app)

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping`, then let what was read come to its end.

        Args:
            stopping: set when the worker shall end.
        """
        self._stopping = stopping
        async with asyncio.TaskGroup() as self._tasks:
            reader = self._tasks.create_task(self._read(), name=f"intake-{self.stream}")
            await stopping.wait()
            reader.cancel()

    def take(self, entries: Iterable[Any]) -> None:
        """Take entries that are this worker's now.

        Args:
            entries: pairs of id and fields; those that are here already are left out.
        """
        for id, fields in entries:
            if id in self._held or self._tasks is None:
                continue
            self._held.add(id)
            self._metric.inc()
            if len(self._held) >= self._bound:
                self._room.clear()
            self._tasks.create_task(self._make(id, fields or {}), name=f"call-{id.decode()}")

    @property
    def room(self) -> int:
        """How many more calls may be taken."""
        return max(0, self._bound - len(self._held))

    async def _read(self) -> None:
        reader = self._broker.reader()
        try:
            await self._read_on(reader)
        finally:
            self._broker.let_go(reader)

    async def _read_on(self, reader: Any) -> None:
        failures, pending, opened = 0, True, False
        last = b"0"
        while True:
            await self._room.wait()
            try:
                if not opened:
                    await self._open()
                    opened = True
                entries = await self._next(reader, last if pending else b">")
            except BrokerUnavailable:
                # The read that failed may have made entries pending: look there first.
                pending, last, opened = True, b"0", False
                await asyncio.sleep(reconnect_delay(failures))
                failures += 1
                continue
            failures = 0
            if pending and not entries:
                pending = False
            elif pending:
                last = entries[-1][0]
            self.take(entries)

    async def _open(self) -> None:
        """Make the group where it is missing, from the stream's beginning."""
        with contextlib.suppress(_GroupThere):
            try:
                await self._bus.call("XGROUP", "CREATE", self.stream, GROUP, "0", "MKSTREAM")
            except CommandRefused as error:
                raise (_GroupThere if error.code == "BUSYGROUP" else error) from None

    async def _next(self, reader: Any, after: bytes) -> list[Any]:
        block = ("BLOCK", int(MAX_BLOCK * 1000)) if after == b">" else ()
        words = ("XREADGROUP", "GROUP", GROUP, self._worker, "COUNT", min(BATCH, self.room), *block)
        with reaching():
            found: Any = await reader.execute_command(*words, "STREAMS", self.stream, after)
        return [(id, _fields(fields)) for id, fields in found[0][1]] if found else []

    async def _make(self, id: bytes, fields: dict[bytes, bytes]) -> None:
        try:
            while not self._stopping.is_set() and not await self._finish(id, fields):
                await pause(self._stopping, AGAIN_SECONDS)
        finally:
            self._held.discard(id)
            self._metric.dec()
            self._room.set()

    async def _finish(self, id: bytes, fields: dict[bytes, bytes]) -> bool:
        """Make the call of an entry; false where that should be tried again."""
        try:
            entry = unpack_entry(fields)
        except ValueError as error:
            if fields:
                self._log.error("a call was dropped", entry=id.decode(), reason=str(error))
            await self._drop(id)
            return True
        trace.bind(entry.trace)
        try:
            result = await self._serve(entry, Place(self.stream, id, entry.deadline))
        except EntryLost:
            return True
        except (BrokerUnavailable, Overloaded):
            return False
        except Exception:  # noqa: BLE001 - a bug of ours must not end the intake; who asked waits for the deadline
            self._log.exception("a call failed", method=entry.method)
            await self._drop(id)
            return True
        self._tell(entry, result)
        if entry.node:
            with contextlib.suppress(BrokerUnavailable):  # it looks the result up
                await answer(self._bus, self._broker.keys, entry.node, entry.id, pack_result(result))
        return True

    def _tell(self, entry: CallEntry, result: CallResult) -> None:
        """Let the log connect the call with what it follows from; who asked sees the failure itself."""
        well = result.outcome == "answered" and result.status < HTTPStatus.BAD_REQUEST
        tell = self._log.debug if well else self._log.info
        event = "a call was made for another process" if well else "a call for another process did not succeed"
        tell(event, method=entry.method, asker=entry.node, outcome=result.outcome, status=result.status)

    async def _drop(self, id: bytes) -> None:
        with contextlib.suppress(BrokerUnavailable):  # then it is pending, and is dropped by whoever has it next
            await DROP.run(self._bus, (self.stream,), GROUP, id)


def _fields(given: Any) -> dict[bytes, bytes]:
    """Read the fields of an entry, none of one that is gone; where Redis is a cluster, redis-py has read them."""
    if isinstance(given, dict):
        return given
    flat = given or ()
    return dict(zip(flat[::2], flat[1::2], strict=True))


class _GroupThere(Exception):
    pass
