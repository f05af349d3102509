"""`mini-apps client`: an app's client in a terminal. Lines in are messages, lines out are what the server sent."""

import asyncio
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from mini_apps.cli.choose import for_clients, one_app
from mini_apps.cli.launch import sign
from mini_apps.cli.problem import EXIT_ERROR, EXIT_USAGE, Problem
from mini_apps.cli.words import parse_message
from shared.settings import AppSettings, Settings

OPEN_SECONDS = 10
FOR_GOOD = 4500
QUEUED_LINES = 1000


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in to what.

    Attributes:
        app: its name; empty for the only one.
        url: of the node; empty to ask the gateway.
        user: Telegram id.
        name: first name.
        init_data: to log in with; empty to sign some.
        wait: seconds to go on listening after the end of the input.
    """

    app: str
    url: str
    user: int
    name: str
    init_data: str
    wait: float


def talk(named: Path | None, port: int, login: Login) -> int:
    """Log in and pass lines both ways until the input ends, the server closes, or Ctrl-C.

    Args:
        named: the settings file of the command line.
        port: of a running `dev`.
        login: who logs in to what.

    Returns:
        The exit code: 1 when the server refused or could not be reached.
    """
    if login.url and login.init_data and login.app:
        return asyncio.run(_talk(login.url, login.app, login.init_data, login.wait))
    settings = for_clients(named, port, login.app)
    app = one_app(settings, login.app)
    url = login.url or _ask_gateway(settings, app)
    data = login.init_data or sign(app, login.user, login.name)
    return asyncio.run(_talk(url, app.name, data, login.wait))


def _ask_gateway(settings: Settings, app: AppSettings) -> str:
    """Let the gateway name a node."""
    gateway = settings.gateway
    address = gateway.public_url.rstrip("/") or f"http://{gateway.host}:{gateway.port}"
    try:
        # The settings let only http and https through.
        with urllib.request.urlopen(f"{address}/negotiate?app={quote(app.name)}", timeout=OPEN_SECONDS) as answer:  # noqa: S310
            return str(json.load(answer)["url"])
    except urllib.error.HTTPError as error:
        raise Problem(f"the gateway at {address} names no node: {_said(error)}") from None
    except (OSError, ValueError, KeyError):
        raise Problem(
            f"no gateway answers at {address}; is `mini-apps dev` running? Or name a node with --url"
        ) from None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"HTTP {error.code}"


async def _talk(url: str, app: str, init_data: str, wait: float) -> int:
    try:
        async with connect(url, open_timeout=OPEN_SECONDS, max_size=None, close_timeout=2) as connection:
            return await _converse(connection, app, init_data, wait)
    except InvalidURI:
        raise Problem(f"{url!r} is not an address such as ws://127.0.0.1:8081/ws", EXIT_USAGE) from None
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise Problem(f"no WebSocket node answers at {url} ({str(error) or type(error).__name__})") from None


async def _converse(connection: ClientConnection, app: str, init_data: str, wait: float) -> int:
    await connection.send(json.dumps({"type": "login", "app": app, "data": init_data}))
    interrupted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    welcome = asyncio.Event()
    tasks = (
        asyncio.create_task(_receive(connection, welcome), name="receive"),
        asyncio.create_task(_send_lines(connection, welcome, wait), name="send"),
        asyncio.create_task(interrupted.wait(), name="interrupt"),
    )
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if tasks[0].cancelled():
        return 0
    return tasks[0].result()


async def _receive(connection: ClientConnection, welcome: asyncio.Event) -> int:
    """Show every line until the server closes; return the exit code."""
    try:
        async for line in connection:
            print(line if isinstance(line, str) else line.decode(), flush=True)
            if not welcome.is_set() and json.loads(line).get("type") == "welcome":
                welcome.set()
    except ConnectionClosed:
        pass  # told below
    code, reason = connection.close_code, connection.close_reason
    print(f"closed by the server: {code} {reason or ''}".rstrip(), file=sys.stderr)
    return 0 if code == 1000 else EXIT_ERROR


async def _send_lines(connection: ClientConnection, welcome: asyncio.Event, wait: float) -> None:
    lines = _read_lines()
    await welcome.wait()
    while (line := await lines.get()) is not None:
        if not line.strip():
            continue
        try:
            await connection.send(json.dumps(parse_message(line)))
        except Problem as problem:
            print(problem, file=sys.stderr)
        except ConnectionClosed:
            return  # the receiver tells why
    await asyncio.sleep(wait)


def _read_lines() -> asyncio.Queue[str | None]:
    """Read standard input in a thread: a file, a pipe and a terminal alike; None is its end."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue(QUEUED_LINES)

    def put(line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()  # waits when the queue is full

    def read() -> None:
        pending = b""
        try:
            while chunk := os.read(0, 65536):  # not `sys.stdin`, whose lock would hold up the end of the process
                *found, pending = (pending + chunk).split(b"\n")
                for line in found:
                    put(line.decode("utf-8", "replace"))
            put(pending.decode("utf-8", "replace"))
            put(None)
        except (OSError, RuntimeError):
            return  # the input or the loop is gone

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return lines
