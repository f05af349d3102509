"""The dead letters of an app, for whoever looks after them: see, try again, drop.

A letter that is tried again goes back into its lane in one script that remembers it by its id, and only then out of the
dead letters: asked twice, or cut off in between, it is still put back once. The window of taken update ids is not
asked. It goes behind what its chat has waiting, which is the only place a stream has.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.broker import Broker
from shared.bus import Bus
from shared.scripts import Script
from shared.updates import LANE_BOUND, BadUpdate, Overloaded, lane_of, lanes_in_use, parse_update

PAGE: Final = 500  # letters of one read
REMEMBERED_SECONDS: Final = 24 * 3600  # that a letter was put back
NUMBERS: Final = frozenset({"id", "tries", "died", "received"})
ENTRY_FIELDS: Final = (b"id", b"update", b"received", b"via")

# KEYS: updates, placed; ARGV: letter, bound, life in s, then the entry's fields. Returns 1 when appended, 0 when it
# was before, -1 at the bound.
PUT_BACK = Script("""
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 0 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return -1 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4))
redis.call('HSET', KEYS[2], ARGV[1], 1)
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
""")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One update that was given up.

    Attributes:
        id: of the letter.
        fields: as `docs/redis.md` tells them.
    """

    id: str
    fields: Mapping[bytes, bytes]

    def text(self, name: str) -> str:
        """Return a field as text, empty where there is none."""
        return self.fields.get(name.encode(), b"").decode("utf-8", "replace")

    def update(self) -> dict[str, Any] | None:
        """Return the update in it, None for what is none."""
        try:
            return parse_update(self.fields.get(b"update", b""))
        except BadUpdate:
            return None

    def to_json(self) -> dict[str, Any]:
        """Return it with the update decoded and numbers as numbers."""
        shown: dict[str, Any] = {"id": self.id}
        for raw, value in self.fields.items():
            name, text = raw.decode("utf-8", "replace"), value.decode("utf-8", "replace")
            whole = name in NUMBERS and text.isdigit()
            shown["update_id" if name == "id" else name] = int(text) if whole else text
        return {**shown, "update": self.update() or shown.get("update")}


class DeadLetters:
    """The dead letters of one app.

    Args:
        broker: the open broker.
        bus: carries the commands.
        app: the app's name.
    """

    def __init__(self, broker: Broker, bus: Bus, app: str) -> None:
        self._broker = broker
        self._bus = bus
        self._keys = broker.keys.app(app)

    async def count(self) -> int:
        """Return how many there are.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return int(await self._bus.call("XLEN", self._keys.dead))

    async def newest(self, limit: int) -> list[DeadLetter]:
        """Return the newest letters, oldest of them first.

        Args:
            limit: at most so many.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        found = await self._bus.call("XREVRANGE", self._keys.dead, "+", "-", "COUNT", limit)
        return [_letter(raw) for raw in reversed(found)]

    async def page(self, after: str) -> list[DeadLetter]:
        """Return the letters after one, oldest first, at most `PAGE`.

        Args:
            after: id of a letter, empty for the first page.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        start = f"({after}" if after else "-"
        return [_letter(raw) for raw in await self._bus.call("XRANGE", self._keys.dead, start, "+", "COUNT", PAGE)]

    async def get(self, letter: str) -> DeadLetter | None:
        """Return a letter by its id, None where there is none.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        found = await self._bus.call("XRANGE", self._keys.dead, letter, letter)
        return _letter(found[0]) if found else None

    async def put_back(self, letter: DeadLetter) -> None:
        """Let an update be tried again from its first try: into its lane, then out of the dead letters.

        Raises:
            BadUpdate: the letter holds no update, so no lane is its.
            Overloaded: the lane is full.
            shared.updates.LanesChanging: updates are being moved to other lanes.
            BrokerUnavailable: Redis did not confirm; it may be repeated.
        """
        update = letter.update()
        if update is None:
            raise BadUpdate("this letter holds no update; it can be looked at and dropped only")
        lane = lane_of(update, await lanes_in_use(self._bus, self._keys))
        kept = {name: letter.fields[name] for name in ENTRY_FIELDS if name in letter.fields}
        kept[b"received"] = b"%d" % (time.time() * 1000)  # the fast lane counts from here
        fields = [part for field in kept.items() for part in field]
        names = (self._keys.updates(lane), self._keys.placed(lane))
        if int(await PUT_BACK.run(self._bus, names, letter.id, LANE_BOUND, REMEMBERED_SECONDS, *fields)) < 0:
            raise Overloaded(f"{LANE_BOUND} updates already wait in its lane")
        await self.drop(letter.id)

    async def drop(self, letter: str) -> bool:
        """Forget a letter; false where there was none.

        Raises:
            BrokerUnavailable: Redis did not confirm.
        """
        return bool(await self._bus.call("XDEL", self._keys.dead, letter))


def _letter(raw: Any) -> DeadLetter:
    number, flat = raw
    return DeadLetter(number.decode(), dict(zip(flat[::2], flat[1::2], strict=True)))
