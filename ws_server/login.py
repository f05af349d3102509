"""Login: who is this, may they in, and what they hear from now on."""

import asyncio
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from mini_apps.client import Client
from mini_apps.errors import LoginRefused
from mini_apps.hooks import call
from shared import messages, trace
from shared.broker import UNREACHABLE, BrokerUnavailable
from shared.close_codes import CloseCode
from shared.messages import Login
from ws_server.inbox import Inbox
from ws_server.presence import EVERYWHERE
from ws_server.session import Stage
from ws_server.tap import inbox_of

if TYPE_CHECKING:
    from mini_apps.app import App
    from mini_apps.audience import Audience
    from mini_apps.models import User
    from shared.settings.model import WsSettings
    from ws_server.connection import Connection
    from ws_server.node import Node

LONGEST = 3_600.0  # seconds of a login where handlers have no limit

log = structlog.get_logger("login")


def arriving(user_group: str) -> str:
    """Return the group of those who log in as a user: they heed its commands, but get no message before `welcome`."""
    return user_group + " arriving"


def time_left(settings: "WsSettings", connection: "Connection", now: float) -> float:
    """Return the seconds a login has left that the client has sent: to close it only because we are slow brings more.

    Args:
        settings: `[ws]`.
        connection: whose login is under way.
        now: by the loop's clock.
    """
    return connection.spoke + settings.login_timeout + (settings.handler_timeout or LONGEST) - now


def start_login(node: "Node", connection: "Connection", login: Login) -> None:
    """Begin a login; what the client sends from now on waits for its end.

    Args:
        node: the node.
        connection: whose login this is; its stage is `LOGGING_IN`.
        login: what the client sent; neither it nor anything in it is logged.
    """
    app = node.apps.get(login.app)
    if app is None:
        _refuse(node, connection, CloseCode.LOGIN_REFUSED, "app")
        return
    client = Client(connection.client_id, app, connection, connection.peer)
    inbox = connection.inbox = inbox_of(node, connection, app, client)
    node.spawn(_log_in(node, connection, inbox, login))


async def _log_in(node: "Node", connection: "Connection", inbox: Inbox, login: Login) -> None:
    """Carry a login out: welcome, or a close with the code that says what the client should do."""
    client = inbox.client
    app = client.app
    trace.bind(trace.of_message(client.id, 0))
    try:
        await _judge(app, inbox, login)
        if client.user is None:
            _refuse(node, connection, CloseCode.LOGIN_REFUSED, CloseCode.LOGIN_REFUSED.reason)
        else:
            await _welcome(node, connection, app, client, login)
    except LoginRefused as refusal:
        _refuse(node, connection, refusal.code, refusal.reason)
    except (*UNREACHABLE, RedisError, BrokerUnavailable) as error:
        why = str(error) if isinstance(error, BrokerUnavailable) else type(error).__name__  # others may quote commands
        log.warning("no login without Redis", app=app.name, error=why)
        _refuse(node, connection, CloseCode.NO_BROKER, CloseCode.NO_BROKER.reason)
    except Exception:
        log.exception("a login failed", app=app.name)
        _refuse(node, connection, CloseCode.INTERNAL_ERROR, messages.INTERNAL_ERROR)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        log.exception("a login failed", app=app.name)  # nobody ended us: what a hook waited for was cancelled
        _refuse(node, connection, CloseCode.INTERNAL_ERROR, messages.INTERNAL_ERROR)
    finally:
        if not inbox.opened:
            node.forget_groups(connection)
            if client.user is not None:  # the app let it in, but it left before its welcome
                await call(app.disconnect, client)


async def _judge(app: "App", inbox: Inbox, login: Login) -> None:
    """Ask the app; a hook that does not come back must not pile up logins for ever."""
    inbox.begin_login()
    try:
        await call(app.login, inbox.client, login.raw)
    except asyncio.CancelledError:
        if not inbox.end_login():
            raise
        raise RuntimeError("`login` took longer than `handler-timeout`") from None
    finally:
        inbox.end_login()


def _refuse(node: "Node", connection: "Connection", code: int, reason: str) -> None:
    node.counts.refused(reason)
    connection.close(code, reason)


async def _welcome(node: "Node", connection: "Connection", app: "App", client: Client, login: Login) -> None:
    """Subscribe, confirmed, then welcome, then what is live: so nothing after the welcome is missed."""
    user: User = client.user
    user_group = node.keys(app).user(user.telegram_id)
    await node.channels.subscriptions.hold(user_group)
    connection.user_group = user_group
    node.hub.join(arriving(user_group), connection)
    await node.presence.enter(connection, EVERYWHERE)
    issued = app.clock.time()  # before a look at what ends sessions, so that none outlives its end by being renewed
    await app.recheck_login(client)
    told, coming = await node.channels.rejoin(connection, app, client, login.channels) if login.channels else ({}, [])
    if connection.stage is not Stage.LOGGING_IN:  # it left meanwhile
        return
    token, expires = app.seal_session(user, int(issued * 1000) / 1000)
    node.hub.leave(arriving(user_group), connection)
    node.make_room(user_group)
    connection.limit_to(app.settings.max_message_bytes, app.settings.messages_per_second)
    connection.stage = Stage.READY
    node.watch(connection)
    connection.send_message(messages.welcome(user, token, expires, told))
    keys = node.keys(app)
    plain = set(told).difference(catch_up.channel for catch_up in coming)
    for group in (user_group, node.apps.everyone(app.name), *(keys.channel(channel) for channel in plain)):
        node.hub.join(group, connection)
    node.counts.logins["welcome"] += 1
    if login.raw.get("data") and not login.raw.get("session"):
        _note_permission(node, app, user)
    if connection.inbox is not None:
        connection.inbox.open()
    if coming:
        await node.channels.finish(connection, coming)


def _note_permission(node: "Node", app: "App", user: "User") -> None:
    """Note whether the bot may write to the user, as fresh init data says; nobody waits for it."""
    data = getattr(user, "telegram_data", None) or {}
    launched = data.get("user")
    if not isinstance(launched, dict):
        return
    may = launched.get("allows_write_to_pm") is True
    if app.mesh.audience.note_login(app.name, user.telegram_id, may=may):
        node.spawn(_write_permissions(app.mesh.audience))


async def _write_permissions(audience: "Audience") -> None:
    try:
        await audience.write_logins()
    except SQLAlchemyError as error:  # the next logins tell it again
        log.warning("whether bots may write to users was not noted", error=type(error).__name__)
