"""Which sockets of this node hear what: groups of members, and frames that leave once per loop turn.

One mechanism serves broadcasts, a user's messages and channels: each is a name on the bus and a group here. The frames
a group got in one loop turn are joined and written once to each member, so load makes batches and idle stays quick.
Nothing here waits for a client. One that is behind (`Member.behind`) still gets every message that must arrive, and is
cut off by its own socket when too much waits (`Connection.write`); of the others it gets the newest of a key once it
has read, or none.
"""

from collections.abc import Callable
from typing import Protocol

from shared.bus_frames import Policy
from ws_server.framing import packed_frame, text_frame
from ws_server.latest import Latest


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

    @property
    def behind(self) -> bool:
        """Whether it has much left to read."""
        ...

    def write(self, data: bytes) -> None:
        """Write whole frames; must not raise or block."""
        ...


class Group:
    """The members of one name and what they are about to get."""

    __slots__ = ("bodies", "excluded", "members", "name", "optional")

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[Member, None] = {}  # a set that keeps the order of joining
        self.bodies: list[bytes] = []
        self.excluded: dict[str, set[int]] = {}
        self.optional: dict[int, tuple[Policy, str]] = {}  # place in `bodies` to policy and key


class Hub:
    """All groups of a node.

    Args:
        schedule: has `flush` called at the end of this loop turn.

    Attributes:
        frames_out: frames written to members so far.
        bytes_out: their bytes.
        dropped: messages a member did not get because it was behind.
        replaced: messages a member did not get because a newer one of their key took their place.
    """

    def __init__(self, schedule: Callable[[Callable[[], None]], object]) -> None:
        self._groups: dict[str, Group] = {}
        self._dirty: list[Group] = []
        self._schedule = schedule
        self._waiting: dict[Member, Latest] = {}
        self.frames_out = 0
        self.bytes_out = 0
        self.dropped = 0
        self.replaced = 0

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
        if self._waiting and (latest := self._waiting.get(member)):
            self.dropped += len(latest.take(name))
            if not latest:
                del self._waiting[member]
        del group.members[member]
        if not group.members:
            del self._groups[name]

    def deliver(
        self, name: str, body: bytes, exclude: str | None = None, policy: Policy | None = None, key: str | None = None
    ) -> None:
        """Give finished JSON to every member of a group, but to the client `exclude`.

        Args:
            name: of the group.
            body: the message.
            exclude: id of a client.
            policy: what becomes of it where a member is behind; None: it must arrive.
            key: with `latest`, what it is the newest of.
        """
        group = self._groups.get(name)
        if group is None:
            return
        if not group.bodies:
            if not self._dirty:
                self._schedule(self.flush)
            self._dirty.append(group)
        if exclude is not None:
            group.excluded.setdefault(exclude, set()).add(len(group.bodies))
        if policy is not None:
            group.optional[len(group.bodies)] = (policy, key or "")
        group.bodies.append(body)

    def flush(self) -> None:
        """Write everything that was delivered in this loop turn."""
        dirty, self._dirty = self._dirty, []
        for group in dirty:
            self._flush(group)

    def caught_up(self, member: Member) -> None:
        """Give a member what waited for it to read, as far as it goes before it is behind again."""
        latest = self._waiting.get(member)
        while latest and not member.behind:
            self._write(member, [latest.pop()])
        if latest is not None and not latest:
            del self._waiting[member]

    def waiting_bytes(self) -> int:
        """Return how many bytes of messages wait for members that are behind."""
        return sum(latest.size for latest in self._waiting.values())

    def _flush(self, group: Group) -> None:
        bodies = group.bodies
        if not bodies:
            return
        excluded, optional = group.excluded, group.optional
        group.bodies, group.excluded, group.optional = [], {}, {}
        special = excluded or optional or self._waiting
        text, packed = _text(bodies), None
        packs = specials = 0  # only what is rare is counted here, member by member
        for member in group.members:
            if special and self._special(group.name, member, bodies, excluded.get(member.client_id), optional):
                specials += 1
            elif member.packed:
                packed = _packed(bodies) if packed is None else packed
                member.write(packed)
                packs += 1
            else:
                member.write(text)
        others = len(group.members) - specials
        self.frames_out += len(bodies) * others
        self.bytes_out += len(text) * (others - packs) + len(packed or b"") * packs

    def _special(
        self,
        name: str,
        member: Member,
        bodies: list[bytes],
        excluded: set[int] | None,
        optional: dict[int, tuple[Policy, str]],
    ) -> bool:
        """Write to a member that does not get what everybody gets; false where it does."""
        behind = member.behind and bool(optional or member in self._waiting)
        if excluded is None and not behind:
            return False
        chosen: list[bytes] = []
        for index, body in enumerate(bodies):
            if excluded and index in excluded:
                continue
            policy, key = optional.get(index, (None, "")) if behind else (None, "")
            if policy == "latest":
                self._hold(member, name, key, body)
            elif policy == "drop":
                self.dropped += 1
            else:
                if behind and member in self._waiting:  # the order within a group stays
                    chosen += self._waiting[member].take(name)
                chosen.append(body)
        if chosen:
            self._write(member, chosen)
        return True

    def _hold(self, member: Member, group: str, key: str, body: bytes) -> None:
        latest = self._waiting.get(member)
        if latest is None:
            latest = self._waiting[member] = Latest()
        replaced, forgotten = latest.put(group, key, body)
        self.replaced += replaced
        self.dropped += forgotten

    def _write(self, member: Member, bodies: list[bytes]) -> None:
        data = _packed(bodies) if member.packed else _text(bodies)
        member.write(data)
        self.frames_out += len(bodies)
        self.bytes_out += len(data)


def _text(bodies: list[bytes]) -> bytes:
    return b"".join([text_frame(body) for body in bodies])


def _packed(bodies: list[bytes]) -> bytes:
    return b"".join([packed_frame(body) for body in bodies])
