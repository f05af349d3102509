"""The ports of the one-machine runner: six in a row, checked before anything starts."""

import errno
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, fields

from mini_apps.cli.problem import EXIT_USAGE, Problem

HOST = "127.0.0.1"
HIGHEST = 65535


@dataclass(frozen=True, slots=True)
class Ports:
    """Who listens where on 127.0.0.1."""

    gateway: int
    ws_1: int
    ws_2: int
    sandbox: int
    valkey: int
    bot: int


COUNT = len(fields(Ports))
WANTED_BY = (
    "the gateway",
    "the WebSocket node ws-1",
    "the WebSocket node ws-2",
    "the sandbox",
    "Valkey",
    "the bot worker",
)


def claim(first: int) -> Ports:
    """Take the ports from `first` on; 0 looks for free ones.

    Raises:
        Problem: one of them is taken, or the number is no port.
    """
    if first == 0:
        return Ports(*_free_row())
    if not 1 <= first <= HIGHEST - COUNT + 1:
        raise Problem(
            f"--port {first}: expected 1 to {HIGHEST - COUNT + 1}, since {COUNT} in a row are used", EXIT_USAGE
        )
    row = range(first, first + COUNT)
    for port, wanted_by in zip(row, WANTED_BY, strict=True):
        if (trouble := trouble_with(port)) is not None:
            raise Problem(f"port {port}, wanted by {wanted_by}, {trouble}; choose others with --port or PORT=…")
    return Ports(*row)


def trouble_with(port: int, host: str = HOST) -> str | None:
    """Say why nobody can listen on a port, or None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError:
            return "needs root"
        except OSError as error:
            return "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    return None


def _free_row() -> Iterator[int]:
    for _ in range(100):
        first = random.randrange(20000, 32000)
        row = range(first, first + COUNT)
        if all(trouble_with(port) is None for port in row):
            return iter(row)
    raise Problem(f"found no {COUNT} free ports in a row; name the first with --port")
