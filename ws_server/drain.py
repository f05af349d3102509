"""Sending every client away from a node that stops, so that the nodes they come back to can take them in."""

import asyncio
import random
from typing import TYPE_CHECKING

from shared.close_codes import CloseCode
from ws_server.session import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ws_server.connection import Connection
    from ws_server.node import Node

    Close = Callable[[Connection], None]

GOODBYES_PER_SECOND = 1_000  # what the nodes that stay can take in; faster only where the time is too short
STEP_SECONDS = 0.02
LARGEST_STEP = 500  # clients closed before others get a turn of the loop


def pace(count: int, seconds: float) -> float:
    """Return over how many seconds `count` clients are closed.

    Args:
        count: clients.
        seconds: the most the whole drain may take; the end of it is for handlers and for clients that are slow to go.
    """
    return min(count / GOODBYES_PER_SECOND, 0.6 * seconds)


def latest_return(count: int) -> float:
    """Return the seconds after which the last of `count` clients sent away at once may come back.

    Where the drain is shorter than the clients need at `GOODBYES_PER_SECOND`, this alone keeps them to that rate.
    """
    return 1.0 + count / GOODBYES_PER_SECOND


async def send_away(node: "Node", seconds: float) -> None:
    """Close every client of a node, paced, each with its own time to come back.

    Args:
        node: the node; it lets nobody in any more.
        seconds: the most the whole drain may take.
    """
    connections = [connection for connection in node.connections if connection.stage is not Stage.HANDSHAKE]
    await close_paced(connections, to_come_back(len(connections)), seconds, node.now)
    for connection in list(node.connections):  # who came meanwhile and was not told yet
        connection.close(CloseCode.DRAINING, CloseCode.DRAINING.reason)


def to_come_back(count: int) -> "Close":
    """Return how to close one of `count` clients: to come back at a time of its own."""

    def close(connection: "Connection") -> None:
        wait = random.uniform(0.2, latest_return(count))
        connection.close(CloseCode.DRAINING, CloseCode.DRAINING.reason, wait)

    return close


async def close_paced(
    connections: "Sequence[Connection]", close: "Close", seconds: float, now: "Callable[[], float]"
) -> None:
    """Close clients one after the other, as fast as those who take them in can.

    Args:
        connections: to be closed.
        close: closes one.
        seconds: the most it may take.
        now: seconds of a monotonic clock.
    """
    count, window, begun, done = len(connections), pace(len(connections), seconds), now(), 0
    while done < count:
        share = (now() - begun + STEP_SECONDS) / window
        due = min(count, done + LARGEST_STEP, max(done + 1, round(count * share)))
        for connection in connections[done:due]:
            close(connection)
        done = due
        await asyncio.sleep(STEP_SECONDS)
