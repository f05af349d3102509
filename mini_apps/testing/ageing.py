"""Redis's part in the passing of time: what lives there for a while has less to live.

Only what an app's behaviour hangs on ages. Leases, calls under way and the memory of what was done are the services'
own, which keep them alive, or need them in the machine's time.
"""

from typing import Final

from shared.keys import AppKeys
from shared.link import Link

PARTS: Final = (b"own:", b"channel:", b"meta:", b"fsm", b"revoked:", b"valid-after:", b"notice:")
BATCH: Final = 1_000


async def age(link: Link, keys: AppKeys, seconds: float) -> None:
    """Take seconds off the life of an app's keys.

    Args:
        link: to Redis.
        keys: of the app.
        seconds: how many.
    """
    names = await _names(link, keys)
    lives = await link.calls([("PTTL", name) for name in names])
    mortal = [(name, life) for name, life in zip(names, lives, strict=True) if life > 0]
    await link.calls([("PEXPIRE", name, max(0, round(life - 1000 * seconds))) for name, life in mortal])


async def _names(link: Link, keys: AppKeys) -> list[bytes]:
    base, found, cursor = keys.base.encode(), [], b"0"
    while True:
        cursor, names = await link.call("SCAN", cursor, "MATCH", f"{keys.base}*", "COUNT", BATCH)
        found += [name for name in names if name.removeprefix(base).startswith(PARTS)]
        if cursor == b"0":
            return found
