"""Redis Cluster's arithmetic: which of the 16,384 slots a name is in, and which server has a slot.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import binascii
import itertools
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from shared.redis_url import Address

SLOTS: Final = 16_384
FIRST_KEY: Final = {"EVAL": 3, "EVALSHA": 3, "XGROUP": 2, "XINFO": 2}  # place of a command's first key, where not 1

Argument = bytes | str | int | float


class Redirect(NamedTuple):
    """Where a server sends us with a command it did not run.

    Attributes:
        for_good: the slot is there now (`MOVED`); else this key may be (`ASK`).
        slot: of the key.
        address: of the server.
    """

    for_good: bool
    slot: int
    address: Address


@dataclass(frozen=True, slots=True)
class Layout:
    """Which server has which slots.

    Attributes:
        owners: the address of each slot's primary, None where nobody has the slot.
    """

    owners: tuple[Address | None, ...]

    @property
    def primaries(self) -> frozenset[Address]:
        """The servers that have slots."""
        return frozenset(address for address in self.owners if address is not None)


def slot_of(name: bytes) -> int:
    """Return the slot of a key or sharded channel: CRC16 (XMODEM) of its hash tag, or of all of it."""
    begin = name.find(b"{")
    if begin >= 0:
        end = name.find(b"}", begin + 1)
        if end > begin + 1:  # `{}` is no tag
            name = name[begin + 1 : end]
    return binascii.crc_hqx(name, 0) % SLOTS


def key_of(command: Sequence[Argument]) -> bytes:
    """Return the first key of a command, or its sharded channel; all its keys share a slot."""
    key = command[FIRST_KEY.get(str(command[0]), 1)]
    return key if isinstance(key, bytes) else str(key).encode()


def layout_of(reply: Sequence[Sequence[Any]], asked: Address) -> Layout:
    """Return the layout in the reply to `CLUSTER SLOTS`.

    Args:
        reply: ranges of slots: first, last, primary (host, port, …), replicas.
        asked: who replied; a server that does not know its own host leaves it out.
    """
    owners: list[Address | None] = [None] * SLOTS
    for first, last, primary, *_ in reply:
        address = Address((primary[0] or b"").decode() or asked.host, int(primary[1]))
        owners[int(first) : int(last) + 1] = [address] * (int(last) - int(first) + 1)
    return Layout(tuple(owners))


def redirect_of(reply: str, asked: Address) -> Redirect | None:
    """Return where an error such as `MOVED 3999 10.0.0.1:6381` sends us, None for another error.

    Args:
        reply: the error.
        asked: who replied; an empty host stands for the same.
    """
    kind, _, rest = reply.partition(" ")
    slot, _, place = rest.partition(" ")
    host, _, port = place.rpartition(":")
    if kind not in ("MOVED", "ASK") or not slot.isdigit() or not port.isdigit():
        return None
    return Redirect(kind == "MOVED", int(slot), Address(host.strip("[]") or asked.host, int(port)))


def tag_in(slots: Container[int]) -> str:
    """Return the smallest number whose text, as a hash tag, is in one of the slots; there must be some."""
    return next(str(number) for number in itertools.count() if slot_of(b"%d" % number) in slots)
