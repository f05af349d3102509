"""One bot in one worker: connect, serve, and start again after a crash, without touching its siblings."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

from aiogram.exceptions import TelegramAPIError, TelegramRetryAfter
from redis.exceptions import RedisError

from bot_worker import metrics
from bot_worker.allowed_updates import allowed_updates
from bot_worker.api_errors import FATAL, PASSING, TokenRefused, delay, wait_after
from bot_worker.broadcasts.runner import run_broadcasts
from bot_worker.calls.office import CallOffice
from bot_worker.crew import Crew
from bot_worker.dead_letters import reason
from bot_worker.dispatch import Dispatch
from bot_worker.ingest import Ingest
from bot_worker.lane import Lane
from bot_worker.lane_keeper import LaneKeeper
from bot_worker.leading import is_cancelled, pause
from bot_worker.status import Status
from bot_worker.telegram import make_bot
from mini_apps.app import App
from mini_apps.bot_status import BotStatus, TelegramMe, write_me
from mini_apps.hooks import call
from shared.broker import UNREACHABLE, BrokerUnavailable
from shared.streams import LaneStream
from shared.updates import UpdateLog

CALLS_SECONDS = 5.0  # for calls that were begun, when everything else has ended
STEADY_SECONDS = 60.0  # after so long without a crash, the next one counts as the first


class EndedEarly(Exception):
    """The app's own `run_bot` returned while the bot should run."""


class BotService:
    """One app's bot, from its start in this worker until it is to end.

    Args:
        app: bound to this process, with a bot token.
        updates: where polled updates go.

    Attributes:
        stopping: set when the bot shall end.
    """

    def __init__(self, app: App, updates: UpdateLog) -> None:
        self._app = app
        self._mesh = app.mesh
        self._updates = updates
        self.stopping = asyncio.Event()
        self._crew = Crew(self._mesh.broker, self._mesh.bus, app.name, self._mesh.node_id)
        self._status = Status(self._mesh.broker, app.keys, self._mesh.node_id)
        self._bot = make_bot(app.settings)  # for what apps may not call: getUpdates, setWebhook
        self._office = CallOffice(app)
        self._dispatch: Dispatch | None = None
        self._connected = False

    async def run(self) -> None:
        """Serve until the worker stops; a crash is told, logged and followed by a new start."""
        failures = 0
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                try:
                    await self._serve()
                except (Exception, SystemExit, asyncio.CancelledError) as error:  # whatever it is, it is told
                    if isinstance(error, asyncio.CancelledError) and is_cancelled():
                        raise
                    failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
                    await self._crashed(error, failures)
        finally:
            await self._leave()

    async def _serve(self) -> None:
        await self._status.tell(BotStatus.Starting)
        me = await self._connect()
        if me is None:
            return
        if self._dispatch is None:
            bot = self._office.bot
            link = await self._app.attach_telegram(bot, self._run, me)
            self._dispatch = Dispatch(self._app, bot, link.router, self._mesh.settings.bot.fsm_ttl)
            await self._dispatch.startup()
        self._app.telegram_me = me
        await write_me(self._mesh.broker.own, self._app.keys, me)
        await call(self._app.run_bot)
        if not self.stopping.is_set():
            raise EndedEarly("run_bot returned while the bot should run: an override must await super().run_bot()")

    async def _connect(self) -> TelegramMe | None:
        """Ask Telegram who we are, as often as it takes; None when the worker stops before.

        Raises:
            TokenRefused: Telegram does not know the token.
        """
        failures = 0
        while not self.stopping.is_set():
            try:
                me = await self._bot.get_me()
            except FATAL:
                raise TokenRefused(self._app.name) from None
            except TelegramRetryAfter as error:
                until = int(time.time()) + error.retry_after
                text = f"Telegram wants a pause of {error.retry_after} s before the bot starts"
                await self._status.tell(BotStatus.StartFlood, text, flood_until=until)
                await pause(self.stopping, error.retry_after)
            except PASSING as error:
                failures += 1
                await self._status.tell(BotStatus.Starting, f"Telegram is not reachable: {reason(error)}")
                await pause(self.stopping, wait_after(error, failures))
            else:
                return TelegramMe(me.id, me.username or "", me.first_name)
        return None

    async def _run(self) -> None:
        """Serve the bot until the worker stops (what `App.run_bot` awaits)."""
        if self._dispatch is None:
            raise RuntimeError("the app was not attached to Telegram")  # only `_serve` leads here
        if not self._connected:
            await call(self._app.on_telegram_connected)
            self._connected = True
        await self._send_commands()
        await self._status.tell(BotStatus.Running)
        kinds = allowed_updates(self._app, self._app.router)
        ingest = Ingest(self._app, self._bot, self._updates, kinds)
        async with asyncio.TaskGroup() as group:
            lanes = group.create_task(self._keeper(self._dispatch).run(self.stopping), name="lanes")
            calls = group.create_task(self._office.run(self.stopping), name="calls")
            helpers = [
                group.create_task(ingest.run(), name="ingest"),
                group.create_task(self._refresh(), name="status"),
                group.create_task(run_broadcasts(self._app, self._office.caller.result), name="broadcasts"),
            ]
            await self.stopping.wait()
            for helper in helpers:
                helper.cancel()
            await lanes
            await calls

    def _keeper(self, dispatch: Dispatch) -> LaneKeeper:
        mesh, keys, name = self._mesh, self._app.keys, self._app.name

        def lane(number: int, fence: int) -> Lane:
            stream = LaneStream(mesh.broker, mesh.bus, keys, number, fence)
            return Lane(stream, dispatch.handle, mesh.settings.bot, name, mesh.clock)

        return LaneKeeper(mesh, self._crew, keys, lane)

    async def _send_commands(self) -> None:
        """Bring the bot's menu up to date; a failure leaves the old menu and stops nothing."""
        try:
            await call(self._app.send_telegram_commands)
        except (TelegramAPIError, BrokerUnavailable) as error:
            self._app.log.warning("the bot's menu was not updated; the next start tries again", reason=reason(error))

    async def _refresh(self) -> None:
        while True:
            with contextlib.suppress(*UNREACHABLE, RedisError):
                await self._status.refresh()
            await asyncio.sleep(self._mesh.broker.lease_seconds / 3)

    async def _crashed(self, error: BaseException, failures: int) -> None:
        metrics.crashes.labels(self._app.name).inc()
        first = next(_leaves(error))
        rest = delay(failures)
        known = isinstance(first, TokenRefused)
        self._app.log.error(
            "the bot crashed and starts again",
            reason=reason(first),
            after_seconds=rest,
            exc_info=None if known else error,
        )
        await self._status.tell(BotStatus.Crashed, reason(first))
        await pause(self.stopping, rest)

    async def _leave(self) -> None:
        if self._dispatch is not None:
            with contextlib.suppress(Exception):  # an author's shutdown handler must not keep the session open
                await self._dispatch.shutdown()
        await self._office.aclose(CALLS_SECONDS)
        await self._bot.session.close()
        others: list[str] = []
        with contextlib.suppress(BrokerUnavailable):
            others = await self._crew.others()
        if others:
            await self._status.hand_over(others[0])
        else:
            await self._status.tell(BotStatus.Offline)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Give the errors inside a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
