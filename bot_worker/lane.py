"""Working off one lane: chats side by side, each chat strictly in order, an update acknowledged after its hook.

A failed update is tried again after `bot.retry-delays`; meanwhile only its chat waits. What fails too often becomes a
dead letter. Entries stay pending in Redis until they are done, so whoever owns the lane next finds them.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, TypeVar

from structlog.contextvars import bound_contextvars

from bot_worker import metrics
from bot_worker.dead_letters import letter, reason
from bot_worker.leading import pause
from shared.broker import BrokerUnavailable, reconnect_delay
from shared.log import get_logger
from shared.settings import BotSettings
from shared.streams import FIRST, NEW, DeadFull, Entry, LaneStream
from shared.updates import BadUpdate, order_key, parse_update

BATCH: Final = 100  # entries of one read
HOOKS_BOUND: Final = 100  # hooks of one lane at a time; then the lane is not read
UPDATES_BOUND: Final = 2_000  # decoded updates of one lane in memory; of further ones only the id is kept
DEAD_FULL_SECONDS: Final = 5.0

T = TypeVar("T")

Handle = Callable[[dict[str, Any]], Awaitable[str]]


class Undeliverable(Exception):
    """No further try can help; the update becomes a dead letter at once."""


class HookTimeout(Exception):
    """The hook ran too long and was cut off."""


@dataclass(slots=True)
class Waiting:
    """An update in its chat's queue; `update` is None where it must be read again."""

    entry: bytes
    tries: int
    update: dict[str, Any] | None


class Lane:
    """One owned lane.

    Args:
        stream: the lane.
        handle: runs the hooks for an update and returns the outcome's name; raises what they raise.
        settings: of the bot workers.
        app: name, for logs and metrics.
    """

    def __init__(self, stream: LaneStream, handle: Handle, settings: BotSettings, app: str) -> None:
        self._stream = stream
        self._handle = handle
        self._settings = settings
        self._app = app
        self._chats: dict[int, deque[Waiting]] = {}
        self._decoded = 0
        self._slots = asyncio.Semaphore(HOOKS_BOUND)
        self._stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._reader: asyncio.Task[None] | None = None
        self._log = get_logger(app)

    async def run(self) -> None:
        """Work until `stop`; cancelling it cancels the hooks.

        Raises:
            ExceptionGroup: of `LaneLost`, when another process owns the lane now.
        """
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._reader = self._tasks.create_task(self._read(), name=f"lane-{self._stream.lane}-reader")
                if self._stopping.is_set():
                    self._reader.cancel()
        finally:
            metrics.held.labels(self._app).dec(sum(map(len, self._chats.values())))

    def stop(self) -> None:
        """Read no more and let `run` end when the hooks that run now are done."""
        self._stopping.set()
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> None:
        await self._insist(self._stream.open)
        last, failures, pending = FIRST, 0, True
        while True:
            async with self._slots:  # behind all chats that wait for one: no reading ahead of what can run
                pass
            try:
                batch = await self._stream.read(last if pending else NEW, BATCH)
                if not (batch.entries or pending):
                    await self._stream.wait(batch.news_after)
            except BrokerUnavailable:
                pending = True  # the read that failed may have made entries pending: look there first
                await asyncio.sleep(reconnect_delay(failures))
                failures += 1
                continue
            failures = 0
            pending = pending and bool(batch.entries)
            for entry in batch.entries:
                self._offer(entry)
                last = entry.id

    def _offer(self, entry: Entry) -> None:
        metrics.held.labels(self._app).inc()
        update: dict[str, Any] | None = None
        chat = 0
        with contextlib.suppress(BadUpdate):  # found out again, and dealt with, at its turn
            update = parse_update(entry.fields.get(b"update", b""))
            chat = order_key(update)
        if self._decoded >= UPDATES_BOUND:
            update = None
        self._decoded += update is not None
        waiting = Waiting(entry.id, entry.tries, update)
        queue = self._chats.get(chat)
        if queue is None:
            queue = self._chats[chat] = deque((waiting,))
            assert self._tasks is not None  # noqa: S101 - only the reader, one of its tasks, comes here
            self._tasks.create_task(self._work_off(chat, queue), name=f"chat-{chat}")
        else:
            queue.append(waiting)

    async def _work_off(self, chat: int, queue: deque[Waiting]) -> None:
        while queue and await self._finish(queue[0]):
            self._decoded -= queue.popleft().update is not None
            metrics.held.labels(self._app).dec()
        if not queue:
            del self._chats[chat]

    async def _finish(self, waiting: Waiting) -> bool:
        """Try until the update is done or given up; false where the lane stops before."""
        delays = self._settings.retry_delays
        while True:
            async with self._slots:
                if self._stopping.is_set():
                    return False
                error = await self._try(waiting)
            if error is None:
                await self._insist(lambda: self._stream.ack(waiting.entry))
                return True
            tries = await self._insist(lambda: self._stream.failed(waiting.entry))
            if isinstance(error, Undeliverable) or tries > len(delays):
                await self._bury(waiting, error, tries)
                return True
            metrics.retries.labels(self._app).inc()
            self._log.warning(
                "an update failed and is tried again",
                tries=tries,
                after_seconds=delays[tries - 1],
                **_about(waiting, error),
            )
            await pause(self._stopping, delays[tries - 1])

    async def _try(self, waiting: Waiting) -> BaseException | None:
        """Run the hooks once and return what they raised."""
        began = perf_counter()
        failure: BaseException | None = None
        outcome = "failed"
        metrics.running.labels(self._app).inc()
        try:
            outcome = await self._run_hooks(waiting)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            failure = error  # the hook awaited something that was cancelled; nobody cancelled us
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is tried again; exit() too
            failure = error
        finally:
            metrics.running.labels(self._app).dec()
            metrics.hook_seconds.labels(self._app).observe(perf_counter() - began)
        metrics.updates.labels(self._app, outcome).inc()
        return failure

    async def _run_hooks(self, waiting: Waiting) -> str:
        update = waiting.update
        if update is None:
            fields = await self._insist(lambda: self._stream.get(waiting.entry))
            if not fields:
                return "gone"
            try:
                update = parse_update(fields.get(b"update", b""))
            except BadUpdate as error:
                raise Undeliverable(f"the entry holds no update: {error}") from None
        limit = self._settings.hook_timeout
        try:
            async with asyncio.timeout(limit or None) as cut:
                with bound_contextvars(trace=f"update-{update['update_id']}"):
                    return await self._handle(update)
        except TimeoutError as error:
            if cut.expired():
                raise HookTimeout(f"the hook ran longer than bot.hook-timeout = {limit:g} s and was cut off") from error
            raise

    async def _bury(self, waiting: Waiting, error: BaseException, tries: int) -> None:
        fields = await self._insist(lambda: self._stream.get(waiting.entry))
        dead = letter(error, fields, lane=self._stream.lane, entry=waiting.entry, tries=tries)
        while True:
            try:
                await self._insist(lambda: self._stream.bury(waiting.entry, dead))
            except DeadFull as full:
                self._log.error("an update cannot be given up", reason=str(full), **_about(waiting, error))
                await asyncio.sleep(DEAD_FULL_SECONDS)
            else:
                break
        metrics.dead.labels(self._app, type(error).__name__).inc()
        self._log.error("an update was given up; it is among the dead letters", tries=tries, **_about(waiting, error))

    async def _insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat a step until Redis answers; what ends it is the loss of the lane."""
        for attempt in itertools.count():
            try:
                return await step()
            except BrokerUnavailable:
                await asyncio.sleep(reconnect_delay(attempt))
        raise AssertionError  # count() never ends


def _about(waiting: Waiting, error: BaseException) -> dict[str, Any]:
    number = waiting.update["update_id"] if waiting.update is not None else None
    return {"update_id": number, "entry": waiting.entry.decode(), "error": type(error).__name__, "why": reason(error)}
