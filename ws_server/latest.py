"""The messages of which one client that is behind gets only the newest: one for each key, until it has read."""

Key = tuple[str, str]  # group, key of the message

MOST_KEYS = 256  # of one client
MOST_BYTES = 1_048_576  # of one client


class Latest:
    """What waits for one client, in the order in which it came; a newer message takes its place at the end.

    Attributes:
        size: bytes that wait.
    """

    __slots__ = ("_bodies", "size")

    def __init__(self) -> None:
        self._bodies: dict[Key, bytes] = {}
        self.size = 0

    def __bool__(self) -> bool:
        """Return whether anything waits."""
        return bool(self._bodies)

    def put(self, group: str, key: str, body: bytes) -> tuple[int, int]:
        """Let a message wait.

        Returns:
            How many messages it replaced (of its key), and how many were forgotten, the oldest first, because the
            bounds were reached.
        """
        replaced = self._bodies.pop((group, key), None)
        if replaced is not None:
            self.size -= len(replaced)
        self._bodies[group, key] = body
        self.size += len(body)
        forgotten = 0
        while len(self._bodies) > MOST_KEYS or (self.size > MOST_BYTES and len(self._bodies) > 1):
            self.pop()
            forgotten += 1
        return int(replaced is not None), forgotten

    def pop(self) -> bytes:
        """Take the oldest message out.

        Raises:
            KeyError: nothing waits.
        """
        body = self._bodies.pop(next(iter(self._bodies), ("", "")))
        self.size -= len(body)
        return body

    def take(self, group: str) -> list[bytes]:
        """Take out what waits of one group, oldest first."""
        keys = [key for key in self._bodies if key[0] == group]
        bodies = [self._bodies.pop(key) for key in keys]
        self.size -= sum(map(len, bodies))
        return bodies
