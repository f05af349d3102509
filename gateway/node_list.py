"""The live WebSocket nodes as this gateway sees them, read from Redis once a second and not per request."""

import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

import structlog
from redis.exceptions import RedisError

from gateway import metrics
from shared.broker import UNREACHABLE, Broker
from shared.nodes import Node, live_nodes
from shared.periodic import Periodic

REFRESH_SECONDS = 1.0
MOST_SENT = 1_000  # clients remembered as on their way; beyond, the oldest count as arrived

Sample = Callable[[Sequence[Node], int], list[Node]]

log = structlog.get_logger("nodes")


def pick(nodes: Sequence[Node], sample: Sample = random.sample, coming: Sequence[str] = ()) -> Node | None:
    """Return the less loaded of two random nodes that take new clients, or None when there is none.

    Always taking the least loaded node would send everybody to the same one until the next reading; two random choices
    spread nearly as evenly and never herd.

    Args:
        nodes: all live nodes.
        sample: chooses so many different ones of them.
        coming: the nodes, by id and in order, to which clients were sent that its own count may not have yet. Of two
            with equal load that one is taken to which nobody was sent for longer.
    """
    sent, latest = Counter(coming), dict(zip(coming, itertools.count(), strict=False))
    open_nodes = [node for node in nodes if not node.draining and not _full(node)]
    chosen = sample(open_nodes, min(2, len(open_nodes)))
    return min(chosen, key=lambda node: (node.connections + sent[node.id], latest.get(node.id, -1)), default=None)


def _full(node: Node) -> bool:
    return 0 < node.capacity <= node.connections


class NodeList(Periodic):
    """Keeps the list fresh while its block runs; before and after, or while Redis does not answer, it is stale.

    Args:
        broker: need not be open yet.
    """

    def __init__(self, broker: Broker) -> None:
        super().__init__(REFRESH_SECONDS, "node-list")
        self._broker = broker
        self._nodes: list[Node] = []
        self._read_at = float("-inf")
        self._sent: deque[tuple[float, str]] = deque(maxlen=MOST_SENT)

    @property
    def fresh(self) -> bool:
        """Whether the list may be believed: it is younger than a node's lease."""
        return time.monotonic() - self._read_at < self._broker.lease_seconds

    @property
    def nodes(self) -> list[Node]:
        """The WebSocket nodes of the last reading."""
        return self._nodes

    def choose(self) -> Node | None:
        """Return the node for the next client, or None when there is none."""
        now = time.monotonic()
        while self._sent and self._sent[0][0] < now - REFRESH_SECONDS - self._broker.lease_seconds / 3:
            self._sent.popleft()  # a node writes its count each third of its lease, so by now it is in
        node = pick(self._nodes, coming=[node_id for _, node_id in self._sent])
        if node is not None:
            self._sent.append((now, node.id))
        return node

    def trouble(self) -> str | None:
        """Say why nobody can be sent to a node now, or None; for readiness."""
        return None if self.fresh else "nodes: the list could not be read from Redis lately"

    async def _once(self) -> None:
        asked = time.monotonic()
        try:
            self._nodes = await live_nodes(self._broker, "ws")
        except (*UNREACHABLE, RedisError) as error:
            log.debug("the list of nodes could not be read", error=str(error) or type(error).__name__)
            return
        self._read_at = asked
        metrics.nodes.set(len(self._nodes))
