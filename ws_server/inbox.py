"""The messages of one client, handled one after the other; those of different clients concurrently."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from mini_apps.app import App
from mini_apps.errors import AppError
from mini_apps.grants import granted
from mini_apps.hooks import call
from shared import messages, trace
from shared.broker import BrokerUnavailable
from shared.messages import AppMessage, Subscribe, Unsubscribe
from ws_server.metrics import Durations

if TYPE_CHECKING:
    from mini_apps.client import Client
    from ws_server.connection import Connection

log = structlog.get_logger("handler")


class Goodbye:
    """The last item of an inbox: the client is gone."""


class Welcomed:
    """The first item of an inbox: the client is logged in."""


GOODBYE: Final = Goodbye()
WELCOMED: Final = Welcomed()
Item = AppMessage | Subscribe | Unsubscribe | Welcomed | Goodbye


class Inbox:
    """The queue of one client and the task that works it off; there is a task only while there is work.

    Until `open` it only collects: a client may talk on while its login is still being checked.

    Args:
        connection: whose messages these are.
        app: the app that handles them.
        client: the client's public face.
    """

    __slots__ = (
        "_app",
        "_connection",
        "_cut",
        "_durations",
        "_number",
        "_queue",
        "_task",
        "client",
        "limit",
        "opened",
        "since",
    )

    def __init__(self, connection: "Connection", app: App, client: "Client") -> None:
        self._connection = connection
        self._app = app
        self.client = client
        self._queue: list[Item] = []  # short by `client-queue`; an empty deque takes 600 bytes of each idle socket
        self._task: asyncio.Task[Any] | None = None
        self._cut = False
        self._number = 0  # of what is handled now; the login is 0, and its welcome belongs to it
        self.opened = False
        self._durations = connection.node.counts.handlers.setdefault(app.name, Durations())
        self.limit = float(app.settings.handler_timeout)
        self.since = 0.0  # when the running handler began, by the loop's clock

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._queue)

    def put(self, item: Item) -> None:
        """Append an item, and start working if nobody is."""
        self._queue.append(item)
        if self.opened and self._task is None:
            self.since = self._connection.node.now()  # or `cut` would judge it by the handler before
            self._connection.node.inbox_busy(self)
            self._task = self._connection.node.spawn(self._run())

    def open(self) -> None:
        """Start with the welcome: the client is logged in."""
        self.opened = True
        early, self._queue = self._queue, []
        hook = self._app.on_client_authenticated
        if getattr(hook, "__func__", hook) is App.on_client_authenticated:  # it would be a task for nothing
            self._number += 1
        else:
            self.put(WELCOMED)
        for item in early:
            self.put(item)

    def begin_login(self) -> None:
        """Let the login, which is what runs now, take as long as a handler may."""
        self.since = self._connection.node.now()
        self._task = asyncio.current_task()
        self._connection.node.inbox_busy(self)

    def end_login(self) -> bool:
        """Let it take its time from now on; return whether it was cut."""
        cut, self._task = self._cut, None
        self._uncut()
        self._connection.node.inbox_idle(self)
        return cut

    def cut(self) -> None:
        """End the running handler: it took too long."""
        if self._task is not None and not self._cut:
            self._cut = True
            self._task.cancel()

    def _uncut(self) -> None:
        if self._cut and (task := asyncio.current_task()) is not None:
            self._cut = False
            task.uncancel()

    async def _run(self) -> None:
        connection, now = self._connection, self._connection.node.now  # Python 3.11 asks the kernel for the loop
        try:
            while self._queue:
                item = self._queue.pop(0)
                self._uncut()  # the handler before may have swallowed its end
                self.since = now()
                trace.bind(trace.of_message(connection.client_id, self._number))
                self._number += 1
                await self._guarded(item)
                connection.inbox_moved(len(self._queue))
        finally:
            self._task = None
            connection.node.inbox_idle(self)

    async def _guarded(self, item: Item) -> None:
        """Handle one item; whatever goes wrong becomes an answer to this client and stays here."""
        id_ = getattr(item, "id", None)
        try:
            await self._handle(item)
        except AppError as error:
            log.debug("a handler said no", app=self._app.name, code=error.code, **_about(item))
            self._tell(str(error), error.code, id_)
        except BrokerUnavailable as error:
            self._connection.node.counts.handler_errors += 1
            log.debug("a handler did not reach Redis", app=self._app.name, error=str(error), **_about(item))
            self._tell("Try again in a moment", "unavailable", id_)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._cut:  # it was ours and meant this one handler; the next message goes on
                self._uncut()
                self._failed(item, id_, "ran out of time")
            elif task is not None and task.cancelling():
                raise
            else:  # nobody ended us: what the handler waited for was cancelled
                self._failed(item, id_, "failed")
        except Exception:  # noqa: BLE001 - an author's bug is answered and logged, and the connection lives on
            self._failed(item, id_, "failed")

    def _failed(self, item: Item, id_: Any, what: str) -> None:
        self._connection.node.counts.handler_errors += 1
        log.error("a handler did not finish", why=what, app=self._app.name, exc_info=what == "failed", **_about(item))
        self._tell(messages.INTERNAL_ERROR, "internal", id_)

    def _tell(self, text: str, code: str, id_: Any, **more: Any) -> None:
        """Answer with an error that can be found in the logs of every process."""
        self._connection.send_message(messages.error(text, code, id_, trace=trace.current(), **more))

    async def _handle(self, item: Item) -> None:
        match item:
            case AppMessage():
                result = await call(self._app.handle_message, self.client, item.type, item.data)
                self._durations.observe(self._connection.node.now() - self.since)
                if item.id is not None:
                    self._connection.send_message(messages.reply(item.id, result))
            case Subscribe():
                await self._subscribe(item)
            case Unsubscribe():
                await self._connection.leave(item.channel, "asked")
            case Welcomed():
                await call(self._app.on_client_authenticated, self.client)
            case Goodbye():
                await call(self._app.disconnect, self.client)

    async def _subscribe(self, item: Subscribe) -> None:
        proven = await granted(self._app, self.client.user.telegram_id, {item.channel: item.position})
        if not proven and not await call(self._app.on_subscribe, self.client, item.channel):
            self._tell(f"You may not enter {item.channel}", "refused", item.id, channel=item.channel)
            return
        try:
            if not await self._connection.node.channels.enter(self._connection, item.channel, item.id, item.position):
                raise AppError(f"You were taken out of {item.channel} on your way in", code="refused")
        except ValueError as error:
            self._tell(str(error), "limit", item.id)


def _about(item: Item) -> dict[str, Any]:
    return {"item": type(item).__name__, "type": getattr(item, "type", None)}
