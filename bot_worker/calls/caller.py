"""The one place that makes Bot API calls: claim, budget, HTTP, result.

Guarantee: a call with an id is sent at most once, by whichever worker, unless Telegram answered 429, or no byte of it
was sent, or it may be repeated without harm (`shared.bot_methods`). What may have been sent without an answer is
`OutcomeUnknown`, and stays that for everybody who asks under the same id.
"""

import asyncio
from dataclasses import dataclass
from time import perf_counter

from bot_worker.calls import metrics
from bot_worker.calls.flight import Flight, Means, Request
from mini_apps.errors import OutcomeUnknown
from mini_apps.remote_calls import CallReply
from shared.calls import CallResult, NotMade

__all__ = ["Caller", "Request"]


@dataclass(eq=False, slots=True)
class _Joined:
    """A call that is being made, and how many wait for it."""

    name: str
    flight: Flight
    task: asyncio.Task[CallResult]
    waiters: int = 0

    def serves(self, request: Request) -> bool:
        """Whether its end is that of a request too; one with another entry must have that taken out of the stream."""
        return request.place is None or request.place == self.flight.request.place


class Caller:
    """Makes the calls of one app's bot in this worker.

    Args:
        means: what they are made with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._flying: dict[str, _Joined] = {}
        self._tasks: set[asyncio.Task[CallResult]] = set()

    async def call(self, request: Request) -> CallReply:
        """Make a call and return Telegram's answer, be it a refusal.

        A 429 is answered only where the deadline comes before the end of what it asks to wait.

        Args:
            request: the call.

        Raises:
            OutcomeUnknown: it may have been made, and a repeat could make it twice.
            NotMade: it was not made.
            Overloaded: too many calls wait for the budget.
            EntryLost: its entry has another owner.
            BrokerUnavailable: Redis did not answer, and nothing was sent.
        """
        result = await self.result(request)
        if result.outcome == "answered":
            return CallReply(result.status, result.body)
        if result.outcome == "unknown":
            raise OutcomeUnknown(request.method, result.reason)
        raise NotMade(result.reason or result.outcome)

    async def result(self, request: Request) -> CallResult:
        """Make a call, or join it where it is being made, and tell what became of it.

        A caller that is cancelled before the call is claimed takes it back; later it is brought to its end without it.

        Args:
            request: the call.

        Raises:
            Overloaded, EntryLost, BrokerUnavailable: as in `call`.
        """
        while (joined := self._flying.get(request.id)) is not None and not joined.serves(request):
            await asyncio.wait((joined.task,))
        joined = joined or self._start(request)
        joined.waiters += 1
        try:
            return await asyncio.shield(joined.task)
        except asyncio.CancelledError:
            if joined.waiters == 1 and not joined.flight.committed:
                joined.task.cancel()
                self._forget(joined)  # who asks from now on makes it anew
            raise
        finally:
            joined.waiters -= 1

    async def aclose(self, seconds: float) -> None:
        """Bring the calls to their end.

        Args:
            seconds: at most so long; what is not done then is cut off.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take_back(self) -> None:
        """Leave the calls of other processes to other workers, but those that may have been sent."""
        self._means.leaving.set()
        for joined in list(self._flying.values()):
            if joined.flight.request.place is not None and not joined.flight.committed:
                joined.task.cancel()

    def _start(self, request: Request) -> _Joined:
        flight = Flight(self._means, request)
        task = asyncio.create_task(self._fly(request, flight), name=f"call-{request.method}")
        joined = _Joined(request.id or f"#{id(flight)}", flight, task)  # one without an id is joined by nobody
        self._flying[joined.name] = joined
        self._tasks.add(task)

        def landed(done: asyncio.Task[CallResult]) -> None:
            self._tasks.discard(done)
            self._forget(joined)
            if not done.cancelled():
                done.exception()  # whoever waited may be gone, which must not leave a warning behind

        task.add_done_callback(landed)
        return joined

    def _forget(self, joined: _Joined) -> None:
        if self._flying.get(joined.name) is joined:
            del self._flying[joined.name]

    async def _fly(self, request: Request, flight: Flight) -> CallResult:
        app, began, outcome = self._means.app, perf_counter(), "error"
        metrics.running.labels(app).inc()
        try:
            result = await flight.run()
            outcome = str(result.status) if result.outcome == "answered" else result.outcome
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            metrics.running.labels(app).dec()
            metrics.calls.labels(app, metrics.shown(request.method), outcome).inc()
            metrics.seconds.labels(app).observe(perf_counter() - began)
        return result
