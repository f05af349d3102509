"""One broadcast job under way: everybody in turn, many calls at a time, each recipient finished once.

| it ends | how |
|---|---|
| done | nobody is left; nobody is handed out and unfinished |
| paused, cancelled | from outside: what is on its way is waited for a little, the rest stays handed out |
| this worker dies | whoever goes on asks what became of the calls of those handed out: unknown, or sent by now |
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bot_worker import metrics
from bot_worker.broadcasts.ledger import Ledger, Outcome
from bot_worker.broadcasts.verdict import Verdict, judge
from bot_worker.calls.flight import Request
from mini_apps.app import App
from mini_apps.broadcast_jobs import BroadcastJob
from shared.broker import BrokerUnavailable, insist, reconnect_delay
from shared.calls import CallResult
from shared.log import get_logger
from shared.trace import bound
from shared.updates import Overloaded

PAGE: Final = 200  # recipients handed out at a time
IN_FLIGHT: Final = 80  # calls at a time, most of which wait for the budget
PROBES: Final = 10  # calls at a time until the first arrives: the message may be one that Telegram refuses
CALL_SECONDS: Final = 600.0  # a call may wait; then it is asked for again
KEEP_RESULT: Final = 86_400.0  # until it is counted: a worker may come back late
KNOWN_SECONDS: Final = 72_000.0  # claims and results of calls live for a day; before it is over they are believed
WATCH_SECONDS: Final = 1.0  # between looks whether the job shall run on
SETTLE_SECONDS: Final = 5.0  # what is on its way may take when the job shall stop
AGAIN_SECONDS: Final = 1.0
REFUSALS_BOUND: Final = 20  # in a row, then it is the message that Telegram does not want

T = TypeVar("T")

Result = Callable[[Request], Awaitable[CallResult]]

log = get_logger("broadcasts")


class JobRun:
    """A job as its owner runs it.

    Args:
        app: bound to this process.
        ledger: of this ownership.
        job: as it began.
        result: makes a call and tells what became of it.
    """

    def __init__(self, app: App, ledger: Ledger, job: BroadcastJob, result: Result) -> None:
        self._app = app
        self._ledger = ledger
        self._job = job
        self._result = result
        self._room = asyncio.Semaphore(in_flight(app.mesh.settings.bot.calls_in_flight))
        self._stopping = False
        self._sending: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._proven = job.sent > 0

    async def run(self) -> None:
        """Send until the job is done or shall stop.

        Raises:
            ExceptionGroup: of `JobsLost`, when another worker runs the app's jobs now.
        """
        with bound(f"broadcast-{self._job.id}"):
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(self._watch(), name="broadcast-watch")
                await self._send_to_all(group)
                await self._settle()
                if not self._stopping:
                    await insist(lambda: self._ledger.end(self._job.id, "done"))
                watcher.cancel()

    async def _send_to_all(self, group: asyncio.TaskGroup) -> None:
        app, cursor = self._app, self._job.cursor
        await self._go_on(group)
        while not self._stopping:
            users = await app.mesh.audience.page(app.name, after=cursor, limit=PAGE)
            if not users:
                return
            cursor, welcome = users[-1], await self._welcome(users)
            if not await insist(lambda: self._ledger.hand_out(self._job.id, cursor, welcome)):  # noqa: B023 - awaited here
                return
            for user in welcome:
                await self._start(group, user, 0)

    async def _welcome(self, users: list[int]) -> list[int]:
        """Return those whom neither the app's filter nor a live ban keeps out."""
        app = self._app
        banned = await insist(lambda: app.mesh.bus.call("SMISMEMBER", app.keys.banned, *users))
        return [
            user
            for user, is_banned in zip(users, banned, strict=True)
            if not is_banned and app.user_filter.filter_telegram_id(user)
        ]

    async def _go_on(self, group: asyncio.TaskGroup) -> None:
        """Finish those whom an earlier run handed out; what is known of their calls is not known for ever."""
        forgotten = time.time() - self._job.handed > KNOWN_SECONDS
        for user, turn in (await insist(lambda: self._ledger.open(self._job.id))).items():
            if forgotten:
                await self._finish(user, turn, "unknown")
            else:
                await self._start(group, user, turn)

    async def _start(self, group: asyncio.TaskGroup, user: int, turn: int) -> None:
        """Send to somebody when there is room; not where the job shall stop, then it stays handed out."""
        await self._room.acquire()
        while len(self._sending) >= PROBES and not (self._proven or self._stopping):
            await asyncio.wait(self._sending, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._stopping:
            self._room.release()
            return
        task = group.create_task(self._send(user, turn), name=f"broadcast-{user}")
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._room.release()

    async def _settle(self) -> None:
        """Wait for what is on its way; where the job shall stop, take back what still waits."""
        while self._sending:
            await asyncio.wait(set(self._sending), timeout=SETTLE_SECONDS if self._stopping else WATCH_SECONDS)
            if self._stopping:
                for task in self._sending:
                    task.cancel()
                return

    async def _watch(self) -> None:
        while True:
            if not await insist(lambda: self._ledger.runs(self._job.id)):
                self._stop()
                return
            await asyncio.sleep(WATCH_SECONDS)

    def _stop(self) -> None:
        self._stopping = True
        self._room.release()  # for who waits for room

    async def _send(self, user: int, turn: int) -> None:
        job = self._job
        request = Request(
            job.method,
            {**job.fields, "chat_id": str(user)},
            id=self._call_id(user, turn),
            seconds=CALL_SECONDS,
            keep=KEEP_RESULT,
            bulk=True,
        )
        verdict = await self._verdict(request)
        if verdict.what == "stop":
            await self._give_up(verdict.reason)
        elif verdict.what != "again":
            await self._finish(user, turn, verdict.what, verdict.reason)

    async def _finish(self, user: int, turn: int, what: Outcome, reason: str = "") -> None:
        if what == "blocked":
            await self._prune(user)
        await insist(lambda: self._ledger.finish(self._job.id, user, self._call_id(user, turn), what, reason))
        metrics.broadcast_messages.labels(self._app.name, what).inc()
        self._refusals = self._refusals + 1 if what == "failed" else 0
        self._proven = self._proven or what == "sent"
        if self._refusals >= REFUSALS_BOUND:
            await self._give_up(reason)

    def _call_id(self, user: int, turn: int) -> str:
        return f"broadcast-{self._job.id}-{turn}-{user}"

    async def _verdict(self, request: Request) -> Verdict:
        """Make the call as often as it takes; `again` only where the job shall stop."""
        for attempt in itertools.count():
            rest = AGAIN_SECONDS
            try:
                verdict = judge(await self._result(request))
                if verdict.what != "again":
                    return verdict
            except (BrokerUnavailable, Overloaded):
                rest = reconnect_delay(attempt)
            if self._stopping:
                break
            await asyncio.sleep(rest)
        return Verdict("again")

    async def _give_up(self, reason: str) -> None:
        text = f"Telegram refuses it: {reason}"
        if await insist(lambda: self._ledger.end(self._job.id, "paused", text)):
            log.warning("a broadcast was paused", app=self._app.name, job=self._job.id, reason=text)
        self._stop()

    async def _prune(self, user: int) -> None:
        try:
            await self._app.mesh.audience.block(self._app.name, user)
        except SQLAlchemyError as error:
            log.warning("a user who blocked the bot was not noted", app=self._app.name, reason=type(error).__name__)


def in_flight(most: int) -> int:
    """Return how many calls a job may have under way: so few that those of the worker's hooks find room beside them.

    Args:
        most: of an app's calls in a worker; 0 for no limit.
    """
    return max(1, min(IN_FLIGHT, most * 4 // 5)) if most else IN_FLIGHT
