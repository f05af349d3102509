"""Which sockets of this node hear what: groups of members, and frames that leave once per loop turn.

One mechanism serves broadcasts, a user's messages and channels: each is a name on the bus and a group here. The frames
a group got in one loop turn are joined and written once to each member, so load makes batches and idle stays quick.
Nothing here waits for a client: a member that cannot keep up is its own business (`Connection.pause_writing`).
"""

from collections.abc import Callable
from typing import Protocol

from shared.codec import json_to_msgpack
from ws_server.framing import binary_frame, text_frame


class Member(Protocol):
    """A socket as the hub sees it."""

    @property
    def client_id(self) -> str:
        """Id of the client, for `exclude`."""
        ...

    @property
    def packed(self) -> bool:
        """Whether it speaks msgpack."""
        ...

    def write(self, data: bytes) -> None:
        """Write whole frames; must not raise or block."""
        ...


class Group:
    """The members of one name and what they are about to get."""

    __slots__ = ("bodies", "excluded", "members", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[Member, None] = {}  # a set that keeps the order of joining
        self.bodies: list[bytes] = []
        self.excluded: dict[str, set[int]] = {}

    def flush(self) -> int:
        """Write what came in since the last flush; return how many frames that made."""
        bodies, self.bodies = self.bodies, []
        excluded, self.excluded = self.excluded, {}
        text = packed = None
        for member in self.members:
            if excluded and member.client_id in excluded:
                _write(member, _without(bodies, excluded[member.client_id]))
            elif member.packed:
                packed = packed or _packed(bodies)
                member.write(packed)
            else:
                text = text or _text(bodies)
                member.write(text)
        return len(bodies) * len(self.members)


class Hub:
    """All groups of a node.

    Args:
        schedule: has `flush` called at the end of this loop turn.
    """

    def __init__(self, schedule: Callable[[Callable[[], None]], object]) -> None:
        self._groups: dict[str, Group] = {}
        self._dirty: list[Group] = []
        self._schedule = schedule
        self.frames_out = 0

    def __len__(self) -> int:
        """Return the number of groups with members."""
        return len(self._groups)

    def members(self, name: str) -> list[Member]:
        """Return the members of a group, who joined first first; a copy, so it may change meanwhile."""
        group = self._groups.get(name)
        return list(group.members) if group else []

    def size(self, name: str) -> int:
        """Return how many members a group has."""
        group = self._groups.get(name)
        return len(group.members) if group else 0

    def join(self, name: str, member: Member) -> None:
        """Let a member in: it gets what is delivered from now on, nothing from before."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        self._flush(group)
        group.members[member] = None

    def leave(self, name: str, member: Member) -> None:
        """Let a member go: it still gets what was delivered before."""
        group = self._groups.get(name)
        if group is None or member not in group.members:
            return
        self._flush(group)
        del group.members[member]
        if not group.members:
            del self._groups[name]

    def deliver(self, name: str, body: bytes, exclude: str | None = None) -> None:
        """Give finished JSON to every member of a group, but to the client `exclude`."""
        group = self._groups.get(name)
        if group is None:
            return
        if not group.bodies:
            if not self._dirty:
                self._schedule(self.flush)
            self._dirty.append(group)
        if exclude is not None:
            group.excluded.setdefault(exclude, set()).add(len(group.bodies))
        group.bodies.append(body)

    def flush(self) -> None:
        """Write everything that was delivered in this loop turn."""
        dirty, self._dirty = self._dirty, []
        for group in dirty:
            self._flush(group)

    def _flush(self, group: Group) -> None:
        if group.bodies:
            self.frames_out += group.flush()


def _text(bodies: list[bytes]) -> bytes:
    return b"".join([text_frame(body) for body in bodies])


def _packed(bodies: list[bytes]) -> bytes:
    return b"".join([binary_frame(json_to_msgpack(body)) for body in bodies])


def _without(bodies: list[bytes], indices: set[int]) -> list[bytes]:
    return [body for index, body in enumerate(bodies) if index not in indices]


def _write(member: Member, bodies: list[bytes]) -> None:
    if bodies:
        member.write(_packed(bodies) if member.packed else _text(bodies))
