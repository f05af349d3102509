"""Which messages clients are to confirm, and the process that waits for it.

An id counts only from the user it was sent to, once, and while it is fresh; whoever makes one up reaches nobody.
"""

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import Counter

from mini_apps.notices import CONFIRMED, NOBODY
from shared.broker import BrokerUnavailable
from shared.inbox import answer

if TYPE_CHECKING:
    from shared.bus import Bus
    from ws_server.connection import Connection
    from ws_server.node import Node

FRESH_SECONDS = 60.0
BOUND = 20_000  # messages of a node that wait; then the oldest is forgotten, as if nobody had confirmed it

acks_seen = Counter(
    "mini_apps_ws_acks",
    "Messages clients are to confirm: confirmed, nobody was there, missing after a minute, forgotten at the bound of "
    "20,000; and confirmations that were unasked",
    ["outcome"],
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is to confirm a message, to whom, and until when (seconds of a monotonic clock)."""

    user_group: str
    asker: str
    until: float


class Acks:
    """What this node's clients are to confirm.

    Args:
        bound: the most that may wait.
    """

    def __init__(self, bound: int = BOUND) -> None:
        self._asked: OrderedDict[str, Asked] = OrderedDict()  # all wait equally long, so the first is the oldest
        self._bound = bound

    def __len__(self) -> int:
        """Return how many wait, those included that are no longer fresh."""
        return len(self._asked)

    def expect(self, ack: str, user_group: str, asker: str, now: float) -> None:
        """Take note that a message was sent to a user's clients; `now` in seconds of a monotonic clock."""
        while self._asked and next(iter(self._asked.values())).until <= now:
            self._asked.popitem(last=False)
            acks_seen.labels("missing").inc()
        if len(self._asked) >= self._bound:
            self._asked.popitem(last=False)
            acks_seen.labels("forgotten").inc()
        self._asked[ack] = Asked(user_group, asker, now + FRESH_SECONDS)

    def confirm(self, ack: str, user_group: str | None, now: float) -> str | None:
        """Return the process to tell that a client confirmed a message, or None where this means nothing.

        Args:
            ack: as the client sent it.
            user_group: of the client's user.
            now: seconds of a monotonic clock.
        """
        asked = self._asked.get(ack)
        if asked is None or asked.user_group != user_group or asked.until <= now:
            acks_seen.labels("unasked").inc()
            return None
        del self._asked[ack]
        acks_seen.labels("confirmed").inc()
        return asked.asker


class Confirmations:
    """Asks this node's clients to confirm messages, and tells the processes that wait.

    Args:
        node: whose clients.
        bus: open.
    """

    def __init__(self, node: "Node", bus: "Bus") -> None:
        self._node = node
        self._bus = bus
        self._acks = Acks()

    def asked(self, user_group: str, ack: str, asker: str) -> None:
        """Wait for one of a user's clients to confirm a message, or say at once that none is here."""
        if self._node.hub.size(user_group):
            self._acks.expect(ack, user_group, asker, self._node.now())
        else:
            acks_seen.labels("nobody").inc()
            self._node.spawn(self._tell(asker, ack, NOBODY))

    def confirmed(self, connection: "Connection", ack: str) -> None:
        """Tell who waits for it that a client has a message; what nobody sent its user is ignored."""
        asker = self._acks.confirm(ack, connection.user_group, self._node.now())
        if asker is not None:
            self._node.spawn(self._tell(asker, ack, CONFIRMED))

    async def _tell(self, asker: str, ack: str, what: bytes) -> None:
        with contextlib.suppress(BrokerUnavailable):  # then it is as if nobody had confirmed it
            await answer(self._bus, self._node.broker.keys, asker, ack, what)
