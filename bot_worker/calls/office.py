"""All there is in one worker for the calls of one app's bot."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import nullcontext

from bot_worker.calls.budget import Budget
from bot_worker.calls.caller import Caller
from bot_worker.calls.claims import Claims, Place
from bot_worker.calls.downloads import AT_A_TIME, Downloads
from bot_worker.calls.flight import Means, Request
from bot_worker.calls.http import Upload, post
from bot_worker.calls.intake import Intake
from bot_worker.calls.rates import Rates
from bot_worker.calls.session import WorkerSession
from bot_worker.calls.takeover import Takeover
from bot_worker.calls.telling import telling_trace
from bot_worker.contact import note_refusal
from bot_worker.telegram import bot_over, make_session
from mini_apps.app import App
from mini_apps.remote_calls import CallReply
from shared.bot_methods import DOWNLOAD, OWNED
from shared.call_files import CallFiles, FileGone
from shared.calls import RESULT_SECONDS, CallEntry, CallResult, FileRef

BULK_BOUND = 200  # calls of the bulk stream in this worker; then it is not read


class CallOffice:
    """Makes an app's calls in this worker, for its own hooks and for other processes.

    Args:
        app: bound to this process, with a bot token.

    Attributes:
        bot: the app's, whose calls go through here.
        caller: makes calls.
    """

    def __init__(self, app: App) -> None:
        mesh, keys, bot = app.mesh, app.keys, app.mesh.settings.bot
        self._app = app
        self._tells_trace = bool(mesh.settings.gateway.sandbox_url)
        self._broker, self._bus = mesh.broker, mesh.bus
        spare = AT_A_TIME + 6  # connections for downloads
        most = bot.calls_in_flight
        self._session = make_session(app.settings, WorkerSession, limit=most and most + spare)
        self.bot = bot_over(self._session, app.settings)
        self._claims = Claims(mesh.bus, keys, mesh.node_id)
        room = asyncio.Semaphore(most) if most else nullcontext()
        budget = Budget(mesh.bus, keys, Rates.of(app.settings))
        means = Means(app.name, self._claims, budget, self._post, self._alive, room, mesh.broker.lease_seconds)
        self.caller = self._session.caller = Caller(means)
        self._files = CallFiles(mesh.broker, keys, bot.call_file_bytes)
        self._downloads = Downloads(self._files, self._download)
        self._intakes = [
            Intake(mesh.broker, mesh.bus, app.name, keys.calls, mesh.node_id, self._serve),
            Intake(mesh.broker, mesh.bus, app.name, keys.calls_bulk, mesh.node_id, self._serve, bound=BULK_BOUND),
        ]
        self._takeover = Takeover(mesh.broker, mesh.bus, app.name, mesh.node_id, self._intakes)

    async def run(self, stopping: asyncio.Event) -> None:
        """Make the calls of other processes until `stopping`, and those that were begun to their end.

        Args:
            stopping: set when the worker shall end.
        """
        async with asyncio.TaskGroup() as group:
            for intake in self._intakes:
                group.create_task(intake.run(stopping), name=f"intake-{intake.stream}")
            group.create_task(self._takeover.run(stopping), name="takeover")
            await stopping.wait()
            self.caller.take_back()  # others make them

    async def aclose(self, seconds: float) -> None:
        """Close, once nobody calls any more.

        Args:
            seconds: for calls that may have been sent to come to their end.
        """
        await self.caller.aclose(seconds)
        await self._takeover.retire()
        await self.bot.session.close()

    async def _serve(self, entry: CallEntry, place: Place) -> CallResult:
        """Make the call of an entry, and close it."""
        seconds = entry.deadline / 1000 - time.time()
        if entry.method == DOWNLOAD:
            return await self._closed(entry, place, await self._downloads.fetch(entry, seconds))
        if entry.method in OWNED:  # the session of whoever asks refuses it already
            refused = CallResult("failed", 0, f"{entry.method} is not for apps".encode())
            return await self._closed(entry, place, refused)
        try:
            for file in entry.files:
                await self._files.check(file.id, file.chunks)
        except FileGone as error:
            return await self._closed(entry, place, CallResult("failed", 0, str(error).encode()))
        files = {file.name: self._upload(file) for file in entry.files}
        bulk = place.stream == self._app.keys.calls_bulk
        request = Request(entry.method, entry.fields, files, entry.id, seconds, entry.keep, place, bulk=bulk)
        result = await self.caller.result(request)
        for file in entry.files:
            await self._files.drop(file.id)
        return result

    async def _closed(self, entry: CallEntry, place: Place, result: CallResult) -> CallResult:
        await self._claims.close(entry.id, place, result, RESULT_SECONDS)
        return result

    def _upload(self, file: FileRef) -> Upload:
        def read() -> AsyncIterator[bytes]:
            return self._files.read(file.id, file.chunks)

        return Upload(file.filename, read)

    async def _post(
        self, method: str, fields: Mapping[str, str], files: Mapping[str, Upload], seconds: float
    ) -> CallReply:
        client = await self._session.create_session()
        if self._tells_trace and not client.trace_configs:
            client.trace_configs.append(telling_trace())
        url = self._session.api.api_url(self.bot.token, method)
        reply = await post(client, url, fields, files, seconds)
        if reply.status == 403:
            await note_refusal(self._app, method, fields, reply.body)
        return reply

    def _download(self, path: str, seconds: float) -> AsyncGenerator[bytes, None]:
        url = self._session.api.file_url(self.bot.token, path)
        return self._session.stream_content(url, timeout=max(1, int(seconds)))

    async def _alive(self, worker: str) -> bool:
        return bool(await self._bus.call("EXISTS", self._broker.keys.node(worker)))
