"""Working off one lane: chats side by side, each chat strictly in order, an update acknowledged after its hook.

A failed update is tried again after `bot.retry-delays`; meanwhile only its chat waits. What fails too often becomes a
dead letter. Entries stay pending in Redis until they are done, so whoever owns the lane next finds them.

An entry that was handed out before may have killed the worker that had it, so its tries are counted before its hook
runs; and from the second one on such entries run one at a time, so that only the one that kills is counted again.

A Redis that came back may have forgotten the last second of what it confirmed. So entries that it has and the lane does
not hold are read again, and those that the lane knows to be done are acknowledged again, not done again.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from bot_worker import metrics
from bot_worker.dead_letters import letter, reason
from bot_worker.hook_clock import HookClock
from bot_worker.leading import pause
from mini_apps.errors import OutcomeUnknown
from shared import trace
from shared.broker import BrokerUnavailable, insist, reconnect_delay
from shared.clock import Clock
from shared.keys import FAST_LANE, lane_name
from shared.log import get_logger
from shared.settings import BotSettings
from shared.streams import FIRST, NEW, DeadFull, Entry, LaneLost, LaneStream
from shared.updates import FAST_SECONDS, BadUpdate, order_key, parse_update

BATCH: Final = 100  # entries of one read
HOOKS_BOUND: Final = 100  # hooks of one lane at a time; then the lane is not read
UPDATES_BOUND: Final = 2_000  # decoded updates of one lane in memory; of further ones only the id is kept
DONE_BOUND: Final = 1_000  # ids of done updates that a lane remembers
DEAD_FULL_SECONDS: Final = 5.0
AHEAD: Final = 200  # decoded updates of one lane from which on reading is in no hurry
AHEAD_SECONDS: Final = 0.05  # how long it waits for fewer; then chats that stand still must not keep it from the others
UNCOUNT_SECONDS: Final = 1.0
FAST_DELAYS: Final = (0.25, 0.5, 1.0, 2.0, 2.0, 2.0)  # seconds before each further try where only ten are left

T = TypeVar("T")

Handle = Callable[[dict[str, Any]], Awaitable[str]]

_alone: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()  # one for the process


class Undeliverable(Exception):
    """No further try can help; the update becomes a dead letter at once."""


class WorkerDied(Exception):
    """Workers ended while the hook ran, as often as tries are allowed."""


class TooLate(Exception):
    """Telegram takes no answer to this update any more."""


class Stopped(Exception):
    """The lane stops; nothing was tried."""


HOPELESS: Final = (Undeliverable, WorkerDied, TooLate, OutcomeUnknown)  # that of a call is the same for each try


@dataclass(slots=True)
class Waiting:
    """An update in its chat's queue; `update` is None where it must be read again.

    Attributes:
        tries: that count so far.
        again: it was handed out before, so its tries count before they are made.
        until: unix seconds after which nobody wants the answer; 0 for any time.
    """

    entry: bytes
    tries: int
    again: bool
    update: dict[str, Any] | None
    until: float


class Lane:
    """One owned lane.

    Args:
        stream: the lane.
        handle: runs the hooks for an update and returns the outcome's name; raises what they raise.
        settings: of the bot workers.
        app: name, for logs and metrics.
        time: for the rest between tries, and how long hooks run.
    """

    def __init__(self, stream: LaneStream, handle: Handle, settings: BotSettings, app: str, time: Clock) -> None:
        self._stream = stream
        self._handle = handle
        self._limit = settings.hook_timeout
        self._fast = stream.lane == FAST_LANE
        self._delays = FAST_DELAYS if self._fast else tuple(settings.retry_delays)
        self._app = app
        self._chats: dict[int, deque[Waiting]] = {}
        self._held: set[bytes] = set()  # the entries in them
        self._done: dict[bytes, None] = {}  # in the order of their acknowledgements
        self._decoded = 0
        self._slots = asyncio.Semaphore(HOOKS_BOUND)
        self._time = time
        self._clock = HookClock(app, self._limit, time)
        self._room = asyncio.Event()  # set when few updates are left in memory
        self._stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._reader: asyncio.Task[None] | None = None
        self._log = get_logger(app)
        self._metrics = metrics.tries(app)

    async def run(self) -> None:
        """Work until `stop`; cancelling it cancels the hooks.

        Raises:
            ExceptionGroup: of `LaneLost`, when another process owns the lane now.
        """
        clock = asyncio.create_task(self._clock.run(), name=f"lane-{self._stream.lane}-clock")
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._reader = self._tasks.create_task(self._read(), name=f"lane-{self._stream.lane}-reader")
                if self._stopping.is_set():
                    self._reader.cancel()
        finally:
            clock.cancel()
            self._stream.close()
            self._metrics.held -= len(self._held)

    def stop(self) -> None:
        """Read no more and let `run` end when the hooks that run now are done."""
        self._stopping.set()
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> None:
        await insist(self._stream.open)
        last, failures, pending = FIRST, 0, True
        while True:
            if self._decoded >= AHEAD:
                self._room.clear()
                await pause(self._room, AHEAD_SECONDS)
            async with self._slots:  # behind all chats that wait for one: no reading ahead of what can run
                pass
            held = len(self._held)  # before the read: what it finds beyond that is held by nobody
            try:
                batch = await self._stream.read(last if pending else NEW, BATCH)
                if not (batch.entries or pending):
                    await self._stream.wait(batch.news_after)
            except BrokerUnavailable:
                last, pending = FIRST, True  # the read that failed may have made entries pending: look there first
                await asyncio.sleep(reconnect_delay(failures))
                failures += 1
                continue
            failures = 0
            pending = bool(batch.entries) if pending else batch.pending > held
            last = FIRST
            for entry in batch.entries:
                self._offer(entry)
                last = entry.id

    def _offer(self, entry: Entry) -> None:
        if entry.id in self._held:
            return
        self._held.add(entry.id)
        self._metrics.held += 1
        update: dict[str, Any] | None = None
        chat = 0
        with contextlib.suppress(BadUpdate):  # found out again, and dealt with, at its turn
            update = parse_update(entry.fields.get(b"update", b""))
            chat = order_key(update)
        if self._decoded >= UPDATES_BOUND:
            update = None
        self._decoded += update is not None
        waiting = Waiting(entry.id, entry.tries, entry.again, update, self._until(entry))
        queue = self._chats.get(chat)
        if queue is None:
            queue = self._chats[chat] = deque((waiting,))
            assert self._tasks is not None  # noqa: S101 - only the reader, one of its tasks, comes here
            self._tasks.create_task(self._work_off(chat, queue), name=f"chat-{chat}")
        else:
            queue.append(waiting)

    def _until(self, entry: Entry) -> float:
        if not self._fast:
            return 0.0
        received = entry.fields.get(b"received", b"")
        return FAST_SECONDS + (int(received) / 1000 if received.isdigit() else time.time())

    async def _work_off(self, chat: int, queue: deque[Waiting]) -> None:
        while queue and await self._finish(queue[0]):
            done = queue.popleft()
            self._decoded -= done.update is not None
            self._held.discard(done.entry)
            self._metrics.held -= 1
            if self._decoded < AHEAD:
                self._room.set()
        if not queue:
            del self._chats[chat]

    async def _finish(self, waiting: Waiting) -> bool:
        """Try until the update is done or given up; false where the lane stops before."""
        trace.bind("")  # the chat's task has worked on other updates
        while True:
            known = waiting.entry in self._done
            error = None if known else self._too_late(waiting) or await self._in_turn(waiting)
            if error is None:
                await insist(lambda: self._stream.ack(waiting.entry))
                self._remember(waiting.entry)
                return True
            if isinstance(error, Stopped):
                return False
            if not (waiting.again or isinstance(error, TooLate)):
                waiting.tries = await insist(lambda: self._stream.count(waiting.entry))
            if isinstance(error, HOPELESS) or waiting.tries > len(self._delays):
                await self._bury(waiting, error)
                return True
            await self._rest(waiting, error)

    def _remember(self, entry: bytes) -> None:
        self._done[entry] = None
        if len(self._done) > DONE_BOUND:
            del self._done[next(iter(self._done))]

    def _too_late(self, waiting: Waiting) -> TooLate | None:
        if not waiting.until or time.time() < waiting.until:
            return None
        return TooLate(f"Telegram takes an answer for {FAST_SECONDS:g} s only")

    async def _in_turn(self, waiting: Waiting) -> BaseException | None:
        """Try as soon as there is room, alone what may have killed a worker; returns what went wrong."""
        if waiting.again and waiting.tries:
            async with _alone.setdefault(asyncio.get_running_loop(), asyncio.Lock()), self._slots:
                return await self._counted_try(waiting)
        async with self._slots:
            if waiting.again:
                return await self._counted_try(waiting)
            return Stopped() if self._stopping.is_set() else await self._try(waiting)

    async def _counted_try(self, waiting: Waiting) -> BaseException | None:
        """Count the try, then make it."""
        if self._stopping.is_set():
            return Stopped()
        if waiting.tries > len(self._delays):
            return WorkerDied(f"the worker ended while the hook ran, or the hook failed, {waiting.tries} times")
        waiting.tries = await insist(lambda: self._stream.count(waiting.entry))
        return await self._try(waiting)

    async def _rest(self, waiting: Waiting, error: BaseException) -> None:
        delay = self._delays[waiting.tries - 1]
        if waiting.until:
            delay = min(delay, max(0.0, waiting.until - time.time()))
        metrics.retries.labels(self._app).inc()
        self._log.warning(
            "an update failed and is tried again",
            tries=waiting.tries,
            after_seconds=round(delay, 2),
            **_about(waiting, error),
        )
        why = f"the next try of update {_number(waiting)['update_id']}, after {type(error).__name__}: {reason(error)}"
        await self._time.wait(self._stopping, delay, why=why)

    async def _try(self, waiting: Waiting) -> BaseException | None:
        """Run the hooks once and return what they raised."""
        began = perf_counter()
        if not waiting.tries:
            self._metrics.waits.observe(max(0.0, time.time() - int(waiting.entry.partition(b"-")[0]) / 1000))
        failure: BaseException | None = None
        outcome = "failed"
        self._metrics.running += 1
        try:
            outcome = await self._run_hooks(waiting)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                await self._uncount(waiting)
                raise
            failure = error  # the hook awaited something that was cancelled; nobody cancelled us
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is tried again; exit() too
            failure = error
        finally:
            self._metrics.running -= 1
            self._metrics.seconds.observe(perf_counter() - began)
        self._metrics.outcome(outcome).inc()
        return failure

    async def _run_hooks(self, waiting: Waiting) -> str:
        update = waiting.update
        if update is None:
            fields = await insist(lambda: self._stream.get(waiting.entry))
            if not fields:
                return "gone"
            try:
                update = parse_update(fields.get(b"update", b""))
            except BadUpdate as error:
                raise Undeliverable(f"the entry holds no update: {error}") from None
        trace.bind(trace.of_update(update["update_id"]))  # what follows from it too: the next try, the dead letter
        limit = self._limit
        if waiting.until:
            left = max(0.1, waiting.until - time.time())
            limit = min(limit, left) if limit else left
        return await self._clock.timed(self._handle(update), limit, lambda: _number(waiting))

    async def _uncount(self, waiting: Waiting) -> None:
        """Take back the try that was counted ahead, where the lane ends and not the worker dies."""
        if waiting.again:
            with contextlib.suppress(BrokerUnavailable, LaneLost, TimeoutError):
                async with asyncio.timeout(UNCOUNT_SECONDS):
                    await self._stream.uncount(waiting.entry)

    async def _bury(self, waiting: Waiting, error: BaseException) -> None:
        fields = await insist(lambda: self._stream.get(waiting.entry))
        if not fields:  # the answer to an acknowledgement was lost
            return
        dead = letter(error, fields, lane=lane_name(self._stream.lane), entry=waiting.entry, tries=waiting.tries)
        again = waiting.again
        for attempt in itertools.count():
            try:
                await self._stream.bury(waiting.entry, dead, again=again)
            except DeadFull as full:
                self._log.error("an update cannot be given up", reason=str(full), **_about(waiting, error))
                await asyncio.sleep(DEAD_FULL_SECONDS)
            except BrokerUnavailable:
                again = True
                await asyncio.sleep(reconnect_delay(attempt))
            else:
                break
        metrics.dead.labels(self._app, type(error).__name__).inc()
        about = {"tries": waiting.tries, **_about(waiting, error)}
        self._log.error("an update was given up; it is among the dead letters", **about)


def _number(waiting: Waiting) -> dict[str, Any]:
    number = waiting.update["update_id"] if waiting.update is not None else None
    return {"update_id": number, "entry": waiting.entry.decode()}


def _about(waiting: Waiting, error: BaseException) -> dict[str, Any]:
    return {**_number(waiting), "error": type(error).__name__, "why": reason(error)}
