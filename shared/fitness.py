"""What is demanded of a server before anything is kept there; told by what its INFO says."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

MIN_REDIS: Final = (7, 0)
MIN_VALKEY: Final = (7, 2)

SECTIONS: Final = ("server", "cluster", "replication", "memory", "persistence")  # of INFO, which tell that

_NAMES: Final = (
    "valkey_version|redis_version|cluster_enabled|role|master_(?:host|port)|maxmemory(?:_policy)?|aof_enabled"
)
_FIELDS: Final = re.compile(rf"^({_NAMES}):([^\r\n]*)", re.MULTILINE)

Info = Mapping[str, Any]


def read_info(text: bytes) -> dict[str, Any]:
    """Read what matters here in the answer to INFO; whole numbers as such."""
    found = _FIELDS.findall(text.decode("utf-8", "replace"))
    return {name: int(value) if value.isdecimal() else value for name, value in found}


def unfit(info: Info, *, sharded: bool) -> str | None:
    """Say why a server cannot serve the project and what to do, as the rest of a sentence; None where it can.

    Args:
        info: its INFO.
        sharded: whether we take it for a server of a cluster.
    """
    return next(_faults(info, sharded=sharded), None)


def _faults(info: Info, *, sharded: bool) -> Iterator[str]:
    valkey = info.get("valkey_version")
    name, version, least = ("Valkey", valkey, MIN_VALKEY) if valkey else ("Redis", info["redis_version"], MIN_REDIS)
    if tuple(int(part) for part in str(version).split(".")[:2]) < least:
        wanted = f"{least[0]}.{least[1]}"
        yield f"is {name} {version}; {name} {wanted} or newer is needed"
    if info.get("cluster_enabled") and not sharded:
        yield "is a server of a cluster; begin redis.url with redis+cluster://"
    if info.get("role") == "slave" and not sharded:  # in a cluster it has just become one, and we look anew
        yield (
            f"is a replica of {info.get('master_host')}:{info.get('master_port')}; name that one in redis.url, or its "
            "sentinels (redis+sentinel://)"
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        yield (
            f"may evict keys (maxmemory-policy {policy}), which loses updates, calls and leases without a word; set "
            "maxmemory-policy noeviction"
        )


def keeps_nothing(info: Info) -> bool:
    """Tell whether a restart of the server loses what was written shortly before."""
    return not info.get("aof_enabled")
