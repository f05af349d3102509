"""What one client gets on its way into a channel with history: what it missed, then what came meanwhile."""

from collections.abc import Iterable

CHUNK_BYTES = 16_384  # of a replay in one write

RESYNC = 0  # stands for an offset: a notice that the server missed something, which is never a repeat
BESIDE = -1  # likewise: a message that has no place in the history, such as who comes and goes


class CatchUp:
    """Where a client stands, what it missed, and what was delivered live since, in the order in which it gets them.

    Args:
        channel: its name.
        limit: most bytes of live messages that may wait; 0 means none.

    Attributes:
        at: offset of the last message the client has.
        offset: where it stood at first: told in `welcome` or `joined`.
        recovered: whether it misses nothing; None where it asked for nothing.
        reason: why not.
    """

    __slots__ = ("_limit", "_missed", "_recorded", "_size", "at", "channel", "offset", "reason", "recovered")

    def __init__(self, channel: str, limit: int = 0) -> None:
        self.channel = channel
        self.at = 0
        self.offset = 0
        self.recovered: bool | None = None
        self.reason = ""
        self._limit = limit
        self._missed: list[tuple[int, bytes]] = []
        self._recorded: list[tuple[int, bytes]] = []
        self._size = 0

    def record(self, offset: int, body: bytes) -> bool:
        """Keep a live message (`RESYNC`, `BESIDE`: another) for later; false when that is more than may wait."""
        self._recorded.append((offset, body))
        self._size += len(body)
        return not self._limit or self._size <= self._limit

    def begin(self, position: int, here: int, entries: Iterable[tuple[int, bytes]]) -> None:
        """Start from a valid position.

        Args:
            position: where the client stands.
            here: where the node stands; what is newer comes live, or by the node's own healing.
            entries: what follows the position in the stream.
        """
        self.recovered, self.at, self.offset = True, position, position
        self._missed = [entry for entry in entries if entry[0] <= here]

    def begin_here(self, here: int, reason: str = "") -> None:
        """Start where the node stands: the client asked for nothing, or has to load its state anew for `reason`."""
        self.recovered, self.reason = (False, reason) if reason else (None, "")
        self.at = self.offset = here
        self._missed, self._recorded, self._size = [], [], 0

    def take(self) -> list[bytes]:
        """Return the next messages to write, about `CHUNK_BYTES` of them; empty when the client is up to date."""
        while self._missed or self._recorded:
            if not self._missed:
                self._missed, self._recorded, self._size = self._recorded, [], 0
            chunk = self._chunk()
            if chunk:
                return chunk
        return []

    def _chunk(self) -> list[bytes]:
        chunk: list[bytes] = []
        size = count = 0
        for count, (offset, body) in enumerate(self._missed, 1):  # noqa: B007 - how many were looked at is used below
            if RESYNC < offset <= self.at:
                continue  # it was in the stream already
            if offset != BESIDE:
                self.at = offset  # after a notice even a smaller offset is new: a failover may have set the clock back
            chunk.append(body)
            size += len(body)
            if size >= CHUNK_BYTES:
                break
        del self._missed[:count]
        return chunk
