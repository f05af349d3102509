"""Bot API calls from a process that does not make them: over Redis to a bot worker, and the answer back.

The worker announces a result to this process's inbox; it is looked up where no announcement comes. aiogram is no
business of this module, see `mini_apps.remote_session`.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

import orjson
from prometheus_client import Counter, Histogram

from mini_apps.errors import OutcomeUnknown
from shared import trace
from shared.bot_methods import DOWNLOAD, Repeat, repeat
from shared.broker import BrokerUnavailable, reconnect_delay
from shared.call_files import CallFiles
from shared.call_id import KEEP_SECONDS, given_id
from shared.calls import CallEntry, CallQueue, CallResult, FileRef, NotMade, State, unpack_result
from shared.inbox import AnswersMissed, InboxFull
from shared.updates import Overloaded

if TYPE_CHECKING:
    from mini_apps.mesh import Mesh
    from shared.keys import AppKeys

__all__ = ["CallReply", "RemoteCalls", "Upload"]

LOOKS: Final = (0.5, 1.0, 2.0, 5.0)  # seconds without an announcement before the result is looked up; the last repeats
GRACE: Final = 5.0  # seconds after the deadline in which a worker may tell how a call it had begun ended

calls = Counter(
    "mini_apps_calls_remote",
    "Bot API calls of this process through a bot worker: answered (a refusal too), unknown, failed, late, cancelled, "
    "refused",
    ["outcome"],
)
seconds = Histogram(
    "mini_apps_calls_remote_seconds", "Time from a Bot API call of this process through a bot worker to its result"
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send: the part's name in the form, its file name, and its bytes."""

    name: str
    filename: str
    stream: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class CallReply:
    """Telegram's answer: the HTTP status and the body, byte by byte."""

    status: int
    body: bytes


class RemoteCalls:
    """Makes the calls of one app from this process.

    Args:
        mesh: the process.
        keys: of the app.
    """

    def __init__(self, mesh: "Mesh", keys: "AppKeys") -> None:
        self._mesh = mesh
        self._queue = CallQueue(mesh.bus, keys, bound=mesh.settings.bot.calls_waiting)
        self._files = CallFiles(mesh.broker, keys, mesh.settings.bot.call_file_bytes)
        self._forgetting: set[asyncio.Task[None]] = set()

    async def make(
        self, method: str, fields: Mapping[str, str], uploads: list[Upload], limit: float, *, bulk: bool = False
    ) -> CallReply:
        """Have a call made.

        Args:
            method: of the Bot API.
            fields: as texts.
            uploads: files to send.
            limit: seconds until the call is not made any more, or given up.
            bulk: behind the interactive calls.

        Raises:
            NotMade: it was not made: no worker took it in time, or Telegram could not be reached.
            OutcomeUnknown: it may have been made.
            Overloaded: too much waits already.
            FileTooLarge: a file has more than 50 MB.
            BrokerUnavailable: Redis did not take it.
        """
        began = perf_counter()
        outcome = "refused"
        try:
            result = await self._make(method, fields, uploads, limit, bulk=bulk)
            outcome = result.outcome
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            calls.labels(outcome).inc()
            seconds.observe(perf_counter() - began)
        if result.outcome == "answered":
            return CallReply(result.status, result.body)
        if result.outcome == "unknown":
            raise OutcomeUnknown(method, result.reason)
        raise NotMade(result.reason)

    async def download(self, path: str, limit: float) -> AsyncIterator[bytes]:
        """Give the bytes of a file of Telegram.

        Args:
            path: `File.file_path`.
            limit: seconds until the file must be here.

        Raises:
            NotFetched: Telegram's server answered with an error.
            NotMade, Overloaded, BrokerUnavailable: as in `make`.
            FileGone: fetching it took too long.
        """
        id = secrets.token_hex(12)
        reply = await self.make(DOWNLOAD, {"path": path, "file": id}, [], limit)
        if reply.status != 200:
            raise NotFetched(reply.status, reply.body.decode("utf-8", "replace"))
        try:
            async for chunk in self._files.read(id, orjson.loads(reply.body)["chunks"]):
                yield chunk
        finally:
            await self._files.drop(id)

    async def _make(
        self, method: str, fields: Mapping[str, str], uploads: list[Upload], limit: float, *, bulk: bool
    ) -> CallResult:
        refs: list[FileRef] = []
        asking: _Asking | None = None
        try:
            for upload in uploads:
                id = secrets.token_hex(12)
                refs.append(FileRef(upload.name, upload.filename, id, await self._files.put(id, upload.stream)))
            given = given_id()
            entry = CallEntry(
                given or secrets.token_hex(12),
                method,
                fields,
                self._mesh.node_id,
                trace.current(),
                files=tuple(refs),
                keep=KEEP_SECONDS if given else 0,
            )
            asking = _Asking(self._mesh, self._queue, entry, limit, bulk=bulk)
            return await asking.run()
        finally:
            if asking is None or asking.unmade:  # else the worker that has it needs them, and drops them
                self._forget(refs)

    def _forget(self, refs: list[FileRef]) -> None:
        for ref in refs:
            task = asyncio.create_task(self._files.drop(ref.id), name="forget-file")
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)


class NotFetched(Exception):
    """A file could not be fetched from Telegram.

    Attributes:
        status: of the HTTP answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Asking:
    """One call, from its way into the stream to its result.

    Attributes:
        unmade: it is not in the stream: not yet, or withdrawn.
    """

    def __init__(self, mesh: "Mesh", queue: CallQueue, entry: CallEntry, limit: float, *, bulk: bool) -> None:
        self._inbox = mesh.inbox
        self._queue = queue
        self._call = entry
        self._limit = limit
        self._bulk = bulk
        self._until = asyncio.get_running_loop().time() + limit
        self._entry: bytes | None = None
        self.unmade = True

    async def run(self) -> CallResult:
        """Ask until there is a result; whoever cancels this, or a deadline, withdraws what nobody has begun."""
        try:
            while True:
                try:
                    async with self._inbox.expect(self._call.id) as coming:
                        return await self._ask(coming)
                except AnswersMissed:
                    continue
                except InboxFull as error:
                    raise Overloaded(str(error)) from None
        except asyncio.CancelledError:
            await self._withdraw_late()
            raise

    async def _ask(self, coming: asyncio.Future[bytes]) -> CallResult:
        if self._entry is None:
            self._entry = await self._submit()
        else:  # after a gap: the announcement may have come unheard
            state = await self._look()
            if state is not None and state.result is not None:
                return state.result
        if (result := await self._listen(coming, self._until)) is not None:
            return result
        return await self._end(coming)

    async def _submit(self) -> bytes:
        """Append the call; the id makes it safe to repeat that, so Redis may be away for a while."""
        attempt = 0
        self.unmade = False
        while True:
            left = self._until - asyncio.get_running_loop().time()
            try:
                return await self._queue.submit(self._call, max(0.0, left), bulk=self._bulk)
            except BrokerUnavailable:
                rest = reconnect_delay(attempt)
                if left < rest:
                    raise
                await asyncio.sleep(rest)
                attempt += 1

    async def _listen(self, coming: asyncio.Future[bytes], until: float) -> CallResult | None:
        """Wait for the announcement, and look for the result where none comes; None when the time is up."""
        loop = asyncio.get_running_loop()
        looks = 0
        while (left := until - loop.time()) > 0:
            await asyncio.wait((coming,), timeout=min(left, LOOKS[min(looks, len(LOOKS) - 1)]))
            if coming.done():
                return unpack_result(coming.result())
            looks += 1
            state = await self._look()
            if state is not None and state.result is not None:
                return state.result
        return None

    async def _look(self) -> State | None:
        with contextlib.suppress(BrokerUnavailable):
            return await self._queue.look(self._call.id)
        return None

    async def _end(self, coming: asyncio.Future[bytes]) -> CallResult:
        """Decide what became of the call at its deadline."""
        try:
            state = await self._queue.withdraw(self._entry or b"", self._call.id, self._limit, bulk=self._bulk)
        except BrokerUnavailable:
            return self._open("Redis went away before anybody told what became of it")
        if state is None or (state.result is not None and state.result.outcome == "cancelled"):
            self.unmade = True
            return CallResult("late", 0, self._words("no bot worker took it; is one running, with the bot's token?"))
        if state.result is not None:
            return state.result
        result = await self._listen(coming, self._until + GRACE)
        return result or self._open(f"the bot worker {state.worker} had begun with it and told nothing")

    def _open(self, why: str) -> CallResult:
        repeatable = repeat(self._call.method) is not Repeat.TWICE
        return CallResult("failed" if repeatable else "unknown", 0, self._words(why))

    def _words(self, why: str) -> bytes:
        return f"no answer within {self._limit:g} s: {why}".encode()

    async def _withdraw_late(self) -> None:
        """Withdraw when the caller is gone; a second cancellation may cut that short, then the deadline holds."""
        if not self.unmade:
            with contextlib.suppress(BrokerUnavailable):
                state = await self._queue.withdraw(self._entry or b"", self._call.id, self._limit, bulk=self._bulk)
                self.unmade = state is None
