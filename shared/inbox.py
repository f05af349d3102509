"""The inbox of a process: answers of other processes to what it asked, by the id of each question.

One pub/sub channel a process, heard from the first question on. An answer is heard at most once and can be lost: while
the bus is away nobody listens. So a question whose answer matters needs a second place to look at, and this is told
when to look: after a gap of the bus every question that waits ends with `AnswersMissed`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection

from prometheus_client import Counter, Gauge

from shared.bus import Bus
from shared.keys import Keys

MAX_WAITING = 20_000  # questions of one process without an answer, then new ones are refused

waiting = Gauge(
    "mini_apps_bus_inbox_waiting", "Questions of this process to others that wait for an answer; refused from 20,000 on"
)
answers = Counter(
    "mini_apps_bus_inbox_answers",
    "Answers to questions of this process: taken, unasked (late, or nobody waits); and questions that were refused",
    ["outcome"],
)


class AnswersMissed(Exception):
    """The bus was away, so the answer may have come unheard: ask anew, then look at where it is kept."""


class InboxFull(Exception):
    """Too many questions wait for an answer already; what was asked was not sent."""


class Inbox:
    """Where the answers to this process arrive.

    Args:
        bus: open.
        keys: of the deployment.
        node_id: of this process; who answers needs it, see `answer`.
        limit: the most questions that may wait.
    """

    def __init__(self, bus: Bus, keys: Keys, node_id: str, *, limit: int = MAX_WAITING) -> None:
        self._bus = bus
        self._channel = keys.inbox(node_id)
        self._limit = limit
        self._waiting: dict[bytes, dict[object, Callable[[bytes | None], None]]] = {}
        self._count = 0
        self._opening = asyncio.Lock()
        self._open = False
        bus.watch_gaps(self._missed)

    @contextlib.asynccontextmanager
    async def expect(self, id: str) -> AsyncIterator[asyncio.Future[bytes]]:
        """Wait for the answer with this id; ask inside the block, where no answer goes unheard.

            async with mesh.inbox.expect(id) as coming:
                ...  # ask, with the id and `mesh.node_id`
                async with asyncio.timeout(5):
                    payload = await coming

        Args:
            id: unique in the deployment, without a line break; several may wait for one.

        Returns:
            The payload of the first answer; the future raises `AnswersMissed` after a gap of the bus.

        Raises:
            InboxFull: too many questions wait.
            BrokerUnavailable: Redis did not confirm that this process hears its inbox.
            ValueError: the id cannot be one.
        """
        coming: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def take(payload: bytes | None) -> None:
            if coming.done():
                return
            if payload is not None:
                coming.set_result(payload)
            else:
                coming.set_exception(AnswersMissed("the bus was away, the answer may have come meanwhile"))
                coming.exception()  # who asked may be gone by now, which must not leave a warning behind

        async with self.hear(id, take):
            try:
                yield coming
            finally:
                coming.cancel()

    @contextlib.asynccontextmanager
    async def hear(self, id: str, take: Callable[[bytes | None], None]) -> AsyncIterator[None]:
        """Hear every answer with this id while the block runs, for a question that several processes answer.

        Args:
            id: unique in the deployment, without a line break.
            take: gets the payload of each answer, or None after a gap of the bus; must not block or raise.

        Raises:
            InboxFull: too many questions wait.
            BrokerUnavailable: Redis did not confirm that this process hears its inbox.
            ValueError: the id cannot be one.
        """
        name = _checked(id)
        if self._count >= self._limit:
            answers.labels("refused").inc()
            raise InboxFull(f"{self._limit} questions of this process wait for an answer already")
        who = object()
        self._waiting.setdefault(name, {})[who] = take
        self._count += 1
        waiting.inc()
        try:
            await self._subscribe()
            yield
        finally:
            self._count -= 1
            waiting.dec()
            others = self._waiting[name]
            del others[who]
            if not others:
                del self._waiting[name]

    async def _subscribe(self) -> None:
        """Subscribe at the first question; the bus keeps it from then on, over its own interruptions too."""
        if self._open:
            return
        async with self._opening:
            if not self._open:
                await self._bus.subscribe(self._channel, self._take)
                self._open = True

    def _take(self, payload: bytes) -> None:
        name, _, body = payload.partition(b"\n")
        asked = list(self._waiting.get(name, {}).values())
        answers.labels("taken" if asked else "unasked").inc()
        for take in asked:
            take(body)

    def _missed(self, channels: Collection[str]) -> None:
        if self._channel not in channels:
            return
        for take in [take for asked in self._waiting.values() for take in asked.values()]:
            take(None)


async def answer(bus: Bus, keys: Keys, node_id: str, id: str, payload: bytes) -> bool:
    """Answer a question of some process.

    Args:
        bus: open.
        keys: of the deployment.
        node_id: of the process that asked.
        id: of the question.
        payload: the answer.

    Returns:
        Whether that process hears its inbox now; what is lost on its way there is not known.

    Raises:
        BrokerUnavailable: Redis did not take it.
        ValueError: the id cannot be one.
    """
    return await bus.publish(keys.inbox(node_id), _checked(id) + b"\n" + payload) > 0


def _checked(id: str) -> bytes:
    if not id or "\n" in id:
        raise ValueError(f"{id!r} cannot be the id of a question: one line, not empty")
    return id.encode()
