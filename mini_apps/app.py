"""`App`: what the author of a mini app inherits from.

Everything an app can override or call is here or in `mini_apps.publishing`, `selling`, `announcing`, `picturing` and
`calling`; how it works is in the modules these call. `docs/app.md` tells which process calls what, in which order.
"""

from typing import TYPE_CHECKING, Any

from mini_apps import commands, logins, telegram_hooks
from mini_apps.announcing import Announcing
from mini_apps.bot_commands import send_commands
from mini_apps.bot_status import BotStatus
from mini_apps.calling import Calling
from mini_apps.commands import MetaBot
from mini_apps.hooks import call
from mini_apps.picturing import Picturing
from mini_apps.private_names import refuse_clashes
from mini_apps.publishing import Publishing
from mini_apps.selling import Selling
from mini_apps.sessions import Sessions
from shared.filters import SettingsListUserFilter, UserFilter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from aiogram.types import CallbackQuery, InlineQuery, Message

    from mini_apps.client import Client
    from mini_apps.models import User
    from shared.settings import AppSettings

__all__ = ["App", "BotStatus", "MetaBot", "SettingsListUserFilter", "UserFilter"]


class App(Publishing, Selling, Announcing, Picturing, Calling, metaclass=MetaBot):
    """A mini app. Inherit from this and override the relevant methods to implement your own.

    The same class runs in every process: its WebSocket hooks in each node, its Telegram hooks in the bot workers. So
    what all of them must know belongs into Redis or the database, not into attributes. Hooks may be sync or async,
    except `decode_telegram_data` and the filter, which are sync.

    Args:
        settings: the app's section of the settings; a plain dict with the same keys does in a test.
        name: of the app in the deployment; else that of the settings, else the class's in lower case.

    Attributes:
        settings: as given.
        name: of the app.
        user_filter: who may come in; `SettingsListUserFilter` with the settings' lists unless set to another.
        clients: the clients of this node, by `Client.id`; other nodes have theirs.
        telegram_me: the bot (`id`, `username`); None until a bot worker first connected.
        fence: while `server_tasks` run, the number of this ownership, for effects outside Redis; else 0.
        log: the app's logger.
    """

    if TYPE_CHECKING:  # a checker loses the overloads behind `staticmethod`
        bot_command = commands.bot_command
    else:
        bot_command = staticmethod(commands.bot_command)

    _sessions: "Sessions | None"

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a class that takes a private name of ours.

        Raises:
            TypeError: it does; the text names it.
        """
        super().__init_subclass__(**options)
        refuse_clashes(cls, App)

    def __init__(self, settings: "AppSettings | Mapping[str, Any]", name: str | None = None) -> None:
        super().__init__(settings, name)
        self.fence = 0
        self._sessions = None

    # In every process, and once per deployment.

    def register_models(self) -> Any:
        """Append the app's SQLAlchemy models to `self.settings.database_models`; `User` is there without.

        Their tables are made once per deployment, where they are missing. Changes to them are Alembic's.
        """

    def server_tasks(self) -> "Iterable[Callable[[], Awaitable[Any]] | Coroutine[Any, Any, Any]]":
        """Return what shall run in one place only: coroutine functions, or coroutines.

        One bot worker at a time runs them, also without a bot token. One that raises starts again after a pause (a
        coroutine function can, a coroutine cannot), one that returns is done.
        """
        return ()

    # In each WebSocket node.

    def on_server_start(self) -> Any:
        """Run once in each WebSocket node, when it can serve; periodic work belongs into `server_tasks`."""

    def decode_telegram_data(self, data: str) -> dict[str, Any] | None:
        """Check init data and decode it.

        Source: https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app

        Args:
            data: `Telegram.WebApp.initData`, as it came.

        Returns:
            The launch fields, `user` (and `chat`, `receiver`) decoded; None for data that proves nothing.
        """
        return logins.decode(self, data)

    async def get_user(self, message: "dict[str, Any]") -> "User | None":
        """Tell who logs in, from the `data` (init data) or `session` of the message.

        Args:
            message: as the client sent it.

        Returns:
            The user; an override may return None to refuse.

        Raises:
            LoginRefused: with the reason.
            BrokerUnavailable: Redis could not be asked.
        """
        return await logins.authenticate(self, message)

    async def login(self, client: "Client", message: dict[str, Any]) -> None:
        """Log a client in: set `client.user` by `get_user` and enter it into `self.clients`.

        Bans and the filter hold for whatever user an override of `get_user` finds.

        Args:
            client: who asks.
            message: as the client sent it.

        Raises:
            LoginRefused: with the reason.
            BrokerUnavailable: Redis could not be asked.
        """
        await logins.log_in(self, client, message)

    async def recheck_login(self, client: "Client") -> None:
        """Look for a ban or the session's end again; the node does, once the client hears its user's messages.

        Raises:
            LoginRefused: the user was banned meanwhile, or the session ended.
            BrokerUnavailable: Redis could not be asked.
        """
        await logins.recheck(self, client)

    async def on_client_authenticated(self, client: "Client") -> None:
        """Run after the client got its welcome, before any of its messages."""

    async def handle_message(self, client: "Client", type: str, data: dict[str, Any]) -> Any:
        """Override to handle a client's messages; those of one client come in order, one at a time.

        Args:
            client: who sent it.
            type: of the message.
            data: the message without `app`.

        Returns:
            What the client gets as `reply`, if its message carried an `id`.

        Raises:
            AppError: for the client to be told.
        """

    async def on_subscribe(self, client: "Client", channel: str) -> bool:  # noqa: ARG002 - for overrides
        """Tell whether a client may enter a channel it asked for; by default it may not.

        Args:
            client: who asks.
            channel: its name.
        """
        return False

    async def on_signal(self, name: str, data: dict[str, Any]) -> None:
        """Run on every WebSocket node once for each `signal`, one after the other.

        A node that may have missed some runs it with `resync` and no data: drop whatever you keep, or look anew.

        Args:
            name: of the signal.
            data: what came with it.
        """

    async def on_user_offline(self, telegram_id: int) -> None:
        """Run on some WebSocket node at least once after a user's last client is gone and has not come back in time.

        The time is `ws.presence-grace`. The death of a node counts too; while the user has another page open, on any
        node, this does not run.

        Args:
            telegram_id: the user.
        """

    async def disconnect(self, client: "Client") -> None:
        """Disconnect a client: out of `self.clients`, the socket closed, `on_client_disconnected` run, once each.

        The node calls it when the socket is gone; an app may call it to close one.
        """
        known = self.clients.pop(client.id, None)
        await client.close()
        if known is not None:
            await call(self.on_client_disconnected, client)

    async def on_client_disconnected(self, client: "Client") -> None:
        """Run once when a client that was logged in is gone."""

    def seal_session(self, user: "User", now: float) -> tuple[str, int]:
        """Make the token with which a client comes back without init data.

        Args:
            user: as logged in.
            now: unix seconds.

        Returns:
            The token, and the unix second it expires at.
        """
        return self.sessions.seal(user, now)

    @property
    def sessions(self) -> Sessions:
        """The app's session tokens.

        Raises:
            ValueError: the settings hold nothing to take a key from.
        """
        if self._sessions is None or self._sessions.settings is not self.settings:
            self._sessions = Sessions(self.name, self.settings)
        return self._sessions

    # In a bot worker.

    async def run_bot(self) -> None:
        """Run the telegram bot until its worker stops; an override calls `super().run_bot()`.

        Raises:
            RuntimeError: this is no bot worker.
        """
        await self._link("run its bot").run()

    async def on_telegram_connected(self) -> None:
        """Run when the connection to the bot is established, once per start of a worker."""

    async def send_telegram_commands(self) -> None:
        """Tell Telegram the commands for the bot's menu, if they changed since anybody of the deployment did."""
        await send_commands(self, self._link("send its commands").bot)

    async def on_telegram_message_raw(self, event: "Message") -> Any:
        """Take a message to the bot: a /command, the router, then `on_telegram_message`, until one handles it.

        A `TelegramMethod` any of them returns is called; a failure goes to `on_telegram_exception`.
        """
        return await telegram_hooks.run_raw(self, "message", event)

    async def on_telegram_callback_raw(self, event: "CallbackQuery") -> Any:
        """Take a button press: the router, then `on_telegram_callback`; failures go to `on_telegram_exception`."""
        return await telegram_hooks.run_raw(self, "callback_query", event)

    async def on_telegram_inline_raw(self, event: "InlineQuery") -> Any:
        """Take an inline query: the router, then `on_telegram_inline`; failures go to `on_telegram_exception`."""
        return await telegram_hooks.run_raw(self, "inline_query", event)

    async def on_telegram_message(self, event: "Message") -> Any:
        """Override to handle messages that are no command and that the router leaves.

        Returns:
            A `TelegramMethod` to call, such as `event.answer("Hello")`, or anything else.
        """

    async def on_telegram_callback(self, event: "CallbackQuery") -> Any:
        """Override to handle presses of buttons below messages that the router leaves."""

    async def on_telegram_inline(self, event: "InlineQuery") -> Any:
        """Override to handle inline queries that the router leaves."""

    async def on_telegram_command(self, trigger: str, args: str, event: "Message") -> Any:
        """Handle a /command; by default by the method registered for it.

        Args:
            trigger: without the slash, in lower case.
            args: what followed, stripped, with all its lines.
            event: the message.

        Returns:
            Something true when it was handled; a `TelegramMethod` is called.
        """
        return await telegram_hooks.run_command(self, trigger, args, event)

    async def on_telegram_exception(self, exception: Exception) -> Any:
        """Look at what a hook raised, on each failed try.

        Args:
            exception: as raised.

        Returns:
            Something true to acknowledge the update; otherwise it is tried again later.
        """
        self.log.error("a hook of the bot failed", exc_info=exception)
        return False
