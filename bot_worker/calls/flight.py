"""One call on its way: as many tries as are safe, and one result.

| what comes back | then |
|---|---|
| an answer | that is the result |
| 429 | its chat pauses for all workers, or without one the call waits; given up where the deadline comes before |
| nothing was sent | again, until the deadline |
| 5xx, or no answer | again where a repeat does no harm; else nobody knows, and nobody repeats it |
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from bot_worker.calls import metrics
from bot_worker.calls.budget import Budget, TooLate
from bot_worker.calls.claiming import Claiming, EntryLost, Holding
from bot_worker.calls.claims import Claims, Place
from bot_worker.calls.http import MaybeSent, NotSent, Upload
from mini_apps.remote_calls import CallReply
from shared.bot_methods import Repeat, addressee, repeat
from shared.broker import insist
from shared.calls import RESULT_SECONDS, CallResult

RETRY_DELAYS: Final = (0.5, 1.0, 2.0, 5.0)  # seconds before a further try; the last one repeats
SAFE_TRIES: Final = 4  # of a call that may be repeated and gets no answer
LONG_SECONDS: Final = 60.0

Post = Callable[[str, Mapping[str, str], Mapping[str, Upload], float], Awaitable[CallReply]]


@dataclass(frozen=True, slots=True)
class Request:
    """A call to make.

    Attributes:
        method: of the Bot API.
        fields: as texts.
        files: by the name of their part, which the fields name as `attach://…`.
        id: unique in the app, the same for each try; empty for a call nobody will ask about again.
        seconds: until it is not made any more, or given up.
        keep: seconds for which its result is kept under its id.
        place: its entry, where it came by a stream.
        bulk: behind the interactive calls.
    """

    method: str
    fields: Mapping[str, str]
    files: Mapping[str, Upload] = field(default_factory=dict)
    id: str = ""
    seconds: float = LONG_SECONDS
    keep: float = 0.0
    place: Place | None = None
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Means:
    """What calls are made with.

    Attributes:
        app: name, for metrics.
        claims: who may make which call.
        budget: when.
        post: makes one try.
        alive: tells whether a worker lives.
        room: for calls at Telegram at a time.
        lease: seconds for which a worker must be gone to count as dead.
        leaving: set when calls of other processes are left to other workers.
    """

    app: str
    claims: Claims
    budget: Budget
    post: Post
    alive: Callable[[str], Awaitable[bool]]
    room: AbstractAsyncContextManager[Any]
    lease: float
    leaving: asyncio.Event = field(default_factory=asyncio.Event)


class Flight:
    """A call that is being made.

    Args:
        means: what it is made with.
        request: the call.

    Attributes:
        request: the call.
        committed: it may have been sent, so it must be brought to its end.
    """

    def __init__(self, means: Means, request: Request) -> None:
        self._means = means
        self.request = request
        self._repeat = repeat(request.method)
        self._claims = bool(request.id) and self._repeat is not Repeat.READS
        self._until = asyncio.get_running_loop().time() + request.seconds
        self._tries = 0
        self.committed = False

    async def run(self) -> CallResult:
        """Make the call and keep its result.

        Raises:
            EntryLost: its entry has another owner.
            Overloaded: too many calls wait for the budget.
            BrokerUnavailable: Redis did not answer, and nothing was sent.
            Exception: what reading a file raised.
        """
        result = await self._result()
        self.committed = True
        await self._close(result)
        return result

    async def _result(self) -> CallResult:
        for failures in itertools.count():
            try:
                await self._admission()
            except TooLate as error:
                return _told("late", str(error))
            self.committed = True
            if self._claims and (known := await self._claim()) is not None:
                return known
            result, rest, reason = await self._try(failures)
            if result is not None:
                return result
            self.committed = False
            if self.request.place is not None and self._means.leaving.is_set():
                raise EntryLost(self.request.id)
            metrics.waits.labels(self._means.app, reason).inc()
            await asyncio.sleep(rest)
        raise AssertionError  # count() never ends

    async def _admission(self) -> None:
        request = self.request
        chat = addressee(request.method, request.fields)
        paid = request.fields.get("allow_paid_broadcast") == "true"
        await self._means.budget.admit(chat, bulk=request.bulk, paid=paid, deadline=self._until)

    async def _try(self, failures: int) -> tuple[CallResult | None, float, str]:
        """Send once; where it may be sent again, give the seconds to wait and why."""
        request = self.request
        rest = RETRY_DELAYS[min(failures, len(RETRY_DELAYS) - 1)]
        try:
            async with self._means.room:
                with metrics.request_seconds.labels(self._means.app).time():
                    reply = await self._means.post(request.method, request.fields, request.files, self._left())
        except NotSent as error:
            await self._unclaim()
            late = self._left() <= rest
            return (_told("failed", str(error)) if late else None), rest, "unreachable"
        except MaybeSent as error:
            return self._open(_told("failed", str(error)), str(error), rest), rest, "no_answer"
        except Exception as error:  # a file could not be read
            await self._unclaim()
            if request.place is None:
                raise
            return _told("failed", f"{type(error).__name__}: {error}"), rest, ""
        result = CallResult("answered", reply.status, reply.body)
        if reply.status == 429:
            return await self._flooded(result)
        if reply.status >= 500:
            return self._open(result, f"Telegram answered {reply.status}", rest), rest, "server_error"
        return result, rest, ""

    async def _flooded(self, result: CallResult) -> tuple[CallResult | None, float, str]:
        """Wait as Telegram asks: with a chat in the budget, where all calls to it wait; else this call alone."""
        seconds = _retry_after(result.body)
        await self._unclaim()
        chat = addressee(self.request.method, self.request.fields)
        if chat is not None:
            await insist(lambda: self._means.budget.pause(seconds, chat))
        return (result if self._left() <= seconds else None), 0.0 if chat is not None else seconds, "flood"

    def _open(self, result: CallResult, reason: str, rest: float) -> CallResult | None:
        """Decide about a try of which nobody knows whether it arrived; None for another one."""
        if self._repeat is Repeat.TWICE:
            return _told("unknown", reason)
        self._tries += 1
        return result if self._tries >= SAFE_TRIES or self._left() <= rest else None

    async def _claim(self) -> CallResult | None:
        """Get the right to send; else what is known of the call."""
        means, request = self._means, self.request
        claiming = Claiming(means.claims, request.id, request.place, means.alive, means.lease)
        held = await claiming.run(self._until)
        if held is Holding.INHERITED:
            metrics.inherited.labels(means.app).inc()
            if self._repeat is Repeat.TWICE:
                return _told("unknown", "the bot worker that made it ended before it had an answer")
        return held if isinstance(held, CallResult) else None

    async def _close(self, result: CallResult) -> None:
        request = self.request
        if not request.id or not (self._claims or request.place):
            return
        keep = request.keep if _is_final(result) else 0.0
        if request.place is not None:  # whoever waits may have missed the announcement
            keep = max(keep, request.seconds + RESULT_SECONDS)
        await insist(lambda: self._means.claims.close(request.id, request.place, result, keep))

    async def _unclaim(self) -> None:
        if self._claims:
            await insist(lambda: self._means.claims.unclaim(self.request.id))

    def _left(self) -> float:
        return self._until - asyncio.get_running_loop().time()


def _told(outcome: Any, reason: str) -> CallResult:
    return CallResult(outcome, 0, reason.encode())


def _is_final(result: CallResult) -> bool:
    """Tell whether a later try must find this: the call was made, or may have been."""
    return result.outcome == "unknown" or (result.outcome == "answered" and result.status < 300)


def _retry_after(body: bytes) -> float:
    """Return the seconds Telegram asks to wait.

    Source: https://core.telegram.org/bots/api#responseparameters
    """
    try:
        return float(orjson.loads(body)["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError):
        return 1.0
