"""Lua scripts over the pipelined connection of the bus."""

import hashlib
from collections.abc import Sequence
from typing import Any

from shared.bus import Bus
from shared.link import CommandRefused


class Script:
    """A script that Redis knows by its digest, and is taught when it does not.

    Args:
        text: Lua; every key it touches must be in KEYS, all in one slot.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, bus: Bus, keys: Sequence[str], *arguments: bytes | str | int | float) -> Any:
        """Run it with the other commands of this loop turn.

        Args:
            bus: the open bus.
            keys: KEYS.
            *arguments: ARGV.

        Raises:
            BrokerUnavailable: Redis did not confirm it; it may or may not have run.
        """
        try:
            return await bus.call("EVALSHA", self._digest, len(keys), *keys, *arguments)
        except CommandRefused as error:
            if error.code != "NOSCRIPT":
                raise
            return await bus.call("EVAL", self._text, len(keys), *keys, *arguments)  # which also teaches it
