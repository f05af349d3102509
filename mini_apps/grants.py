"""Grants: the proof that a user was let into a channel, so that a client that comes back need not be judged again.

And what makes grants void, alone or with all else that a user could show.
"""

from typing import TYPE_CHECKING

from shared.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mini_apps.app import App
    from mini_apps.bound import BoundApp
    from shared.messages import Position

__all__ = ["GRANT_SECONDS", "granted", "make_grant", "revoke", "revoke_all"]

GRANT_SECONDS = 86_400  # how long a grant is good for
EVERY_CHANNEL = ""  # no channel has this name

# KEYS: revoked; ARGV: channel, unix seconds, life in s: no grant lives longer, so neither need this.
REVOKE = Script("""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
""")

# KEYS: revoked, valid-after; ARGV: unix seconds, life of a grant and of a session in s, where one ends at all.
REVOKE_ALL = Script("""
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
if ARGV[3] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[3]) end
""")


def make_grant(app: "App", telegram_id: int, channel: str) -> str:
    """Make the grant of a user for a channel, good from now on."""
    return app.sessions.grant(telegram_id, channel, int(app.clock.time()) + GRANT_SECONDS)


async def revoke(app: "BoundApp", telegram_id: int, channel: str) -> None:
    """Make a user's grants for a channel void; those made from now on hold.

    Raises:
        BrokerUnavailable: Redis did not confirm.
    """
    revoked = app.keys.revoked(telegram_id)
    await REVOKE.run(app.mesh.bus, [revoked], channel, f"{app.clock.time():.3f}", GRANT_SECONDS)


async def revoke_all(app: "BoundApp", telegram_id: int) -> None:
    """Make a user's session tokens and grants void; those made from now on hold.

    Raises:
        BrokerUnavailable: Redis did not confirm.
    """
    keys, settings = app.keys, app.settings
    life = settings.session_max_age or settings.session_ttl
    void = [keys.revoked(telegram_id), keys.valid_after(telegram_id)]
    await REVOKE_ALL.run(app.mesh.bus, void, f"{app.clock.time():.3f}", GRANT_SECONDS, life)


async def granted(app: "App", telegram_id: int, positions: "Mapping[str, Position]") -> set[str]:
    """Return the channels for which a client showed a grant that holds: genuine, not expired, not revoked since.

    Args:
        app: the app.
        telegram_id: the user.
        positions: channel to what the client showed.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    issued, now = {}, app.clock.time()
    for channel, position in positions.items():
        if position.grant and app.sessions.check_grant(position.grant, telegram_id, channel, now):
            issued[channel] = int(position.grant.partition(".")[0]) - GRANT_SECONDS
    if not issued:
        return set()
    every, *revoked = await app.mesh.bus.call("HMGET", app.keys.revoked(telegram_id), EVERY_CHANNEL, *issued)
    return {
        channel
        for (channel, since), until in zip(issued.items(), revoked, strict=True)
        if since > max(float(every or 0), float(until or 0))
    }
