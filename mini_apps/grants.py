"""Grants: the proof that a user was let into a channel, so that a client that comes back need not be judged again."""

import time
from typing import TYPE_CHECKING

from shared.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mini_apps.app import App
    from shared.bus import Bus
    from shared.keys import AppKeys
    from shared.messages import Position

__all__ = ["GRANT_SECONDS", "granted", "make_grant", "revoke"]

GRANT_SECONDS = 86_400  # how long a grant is good for

# KEYS: revoked; ARGV: channel, unix seconds, life in s: no grant lives longer, so neither need this.
REVOKE = Script("""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
""")


def make_grant(app: "App", telegram_id: int, channel: str) -> str:
    """Make the grant of a user for a channel, good from now on."""
    return app.sessions.grant(telegram_id, channel, int(time.time()) + GRANT_SECONDS)


async def revoke(bus: "Bus", keys: "AppKeys", telegram_id: int, channel: str) -> None:
    """Make a user's grants for a channel void; those made from now on hold.

    Raises:
        BrokerUnavailable: Redis did not confirm.
    """
    await REVOKE.run(bus, [keys.revoked(telegram_id)], channel, f"{time.time():.3f}", GRANT_SECONDS)


async def granted(app: "App", telegram_id: int, positions: "Mapping[str, Position]") -> set[str]:
    """Return the channels for which a client showed a grant that holds: genuine, not expired, not revoked since.

    Args:
        app: the app.
        telegram_id: the user.
        positions: channel to what the client showed.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    issued = {}
    for channel, position in positions.items():
        if position.grant and app.sessions.check_grant(position.grant, telegram_id, channel, time.time()):
            issued[channel] = int(position.grant.partition(".")[0]) - GRANT_SECONDS
    if not issued:
        return set()
    revoked = await app.mesh.bus.call("HMGET", app.keys.revoked(telegram_id), *issued)
    return {
        channel
        for (channel, since), until in zip(issued.items(), revoked, strict=True)
        if until is None or since > float(until)
    }
