"""The address of a deployment's Redis: one server, sentinels that know which server it is now, or a cluster.

    redis://[user:password@]host[:port][/db]                       rediss:// with TLS, unix:///path
    redis+sentinel://[user:password@]host[:port],…/master[/db]     rediss+sentinel:// with TLS
    redis+cluster://[user:password@]host[:port],…                  rediss+cluster:// with TLS

User and password are those of the servers, percent-encoded where they hold one of `@:/?#,`.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

REDIS_EXAMPLE: Final = "redis://localhost:6379/0"
SINGLE: Final = ("redis", "rediss", "unix")
SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
CLUSTER: Final = ("redis+cluster", "rediss+cluster")
REDIS_SCHEMES: Final = (*SINGLE, *SENTINEL, *CLUSTER)
SENTINEL_PORT: Final = 26379
REDIS_PORT: Final = 6379

Kind = Literal["single", "sentinel", "cluster"]


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a `redis.url` says.

    Attributes:
        kind: one server, sentinels, or a cluster.
        tls: whether connections are encrypted.
        hosts: of the sentinels, or of some servers of the cluster; of one server where `kind` is `single`.
        username: empty for the default user.
        password: empty for none.
        master: the name under which the sentinels know the server.
        db: number of the database.
        unix: whether it is a socket in the file system.
    """

    kind: Kind
    tls: bool
    hosts: tuple[Address, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    master: str = ""
    db: int = 0
    unix: bool = False

    def __str__(self) -> str:
        """Return it without credentials, for people."""
        hosts = ",".join(map(str, self.hosts))
        match self.kind:
            case "sentinel":
                return f"{self.master} of the sentinels {hosts}"
            case "cluster":
                return f"cluster {hosts}"
        return f"{hosts}/{self.db}"


def parse(url: str) -> RedisUrl:
    """Return what an address of sentinels or a cluster says; `single` ones are left to redis-py.

    Raises:
        ValueError: it cannot be used; the text says what was expected, without repeating the address.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its text quotes the address, which may hold a password
        raise ValueError(f"expected an address such as {REDIS_EXAMPLE}") from None
    if parts.scheme not in (*SENTINEL, *CLUSTER):
        return RedisUrl("single", parts.scheme == "rediss", (), unix=parts.scheme == "unix")
    kind: Kind = "sentinel" if parts.scheme in SENTINEL else "cluster"
    credentials, _, netloc = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    hosts = _hosts(netloc, SENTINEL_PORT if kind == "sentinel" else REDIS_PORT, f"{parts.scheme}://")
    if parts.query:
        raise ValueError(f"expected nothing behind `?` in a {parts.scheme} address")
    master, db = _path(kind, parts.path.strip("/"))
    tls = parts.scheme.startswith("rediss")
    return RedisUrl(kind, tls, hosts, unquote(username), unquote(password), master, db)


def _hosts(netloc: str, port: int, scheme: str) -> tuple[Address, ...]:
    found = []
    for text in netloc.split(","):
        try:
            parts = urlsplit(f"//{text}")
            found.append(Address(parts.hostname or "", parts.port or port))
        except ValueError:  # a port that is none
            found.append(Address("", 0))
    if not all(address.host for address in found):
        raise ValueError(f"expected hosts such as {scheme}one:{port},two:{port}")
    return tuple(found)


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """Return the master's name and the database."""
    if kind == "cluster":
        if path not in ("", "0"):
            raise ValueError("expected no database behind the hosts: a cluster has database 0 only")
        return "", 0
    master, _, db = path.partition("/")
    if not master or not (db or "0").isdigit():
        raise ValueError(
            "expected the master's name behind the sentinels, such as redis+sentinel://one:26379,two:26379/mymaster/0"
        )
    return master, int(db or 0)
